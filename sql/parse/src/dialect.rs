//! sqlparser's PostgreSQL dialect with PostgreSQL's operators: everything else is asked of sqlparser's own.

pub(crate) mod operators;

use std::any::TypeId;
use std::cell::Cell;

use sqlparser::ast::{Array, Expr, FunctionArguments};
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};

use operators::Kind;

/// The dialect of one parser.
#[derive(Debug, Default)]
pub(crate) struct Postgres {
    own: PostgreSqlDialect,
    /// How deep operators are nested now: bounded by [`operators`].
    pub(crate) depth: Cell<usize>,
    /// sqlparser is to read the operand that comes next by itself.
    is_asked: Cell<bool>,
}

/// Without the room that vectors of a few large things have left.
fn tight(mut expr: Expr) -> Expr {
    match &mut expr {
        Expr::Function(function) => {
            if let FunctionArguments::List(list) = &mut function.args {
                list.args.shrink_to_fit();
            }
        }
        Expr::Tuple(parts) | Expr::Array(Array { elem: parts, .. }) => parts.shrink_to_fit(),
        Expr::Case { conditions, .. } => conditions.shrink_to_fit(),
        _ => {}
    }
    expr
}

macro_rules! as_in_sqlparser {
    ($($name:ident),* $(,)?) => {
        $(fn $name(&self) -> bool {
            self.own.$name()
        })*
    };
}

impl Dialect for Postgres {
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        if self.is_asked.take() {
            return None;
        }
        operators::prefix(self, parser, Kind::Any).or_else(|| {
            // Everything else is sqlparser's, which asks here first.
            self.is_asked.set(true);
            let result = parser.parse_prefix();
            self.is_asked.set(false);
            Some(result.map(tight))
        })
    }

    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        left: &Expr,
        _precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        // All that follows at once: the caller's loop would come with another copy for every operator.
        Some(operators::rest(self, parser, left.clone()))
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        let token = &parser.peek_token_ref().token;
        if operators::is_word(token, Keyword::COLLATE) {
            // A column's definition has its collation after the default.
            return self.own.get_next_precedence(parser).or(Some(Ok(self.prec_unknown())));
        }
        Some(Ok(operators::precedence(parser, Kind::Any)))
    }

    fn prec_value(&self, level: Precedence) -> u8 {
        operators::level(level)
    }

    fn is_custom_operator_part(&self, _: char) -> bool {
        // Operators are put together by `lexical`, which knows where they end.
        false
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        self.own.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        self.own.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        self.own.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        self.own.is_identifier_part(ch)
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        self.own.is_reserved_for_identifier(keyword)
    }

    fn is_table_alias(&self, keyword: &Keyword, parser: &mut Parser<'_>) -> bool {
        self.own.is_table_alias(keyword, parser)
    }

    fn supports_named_fn_args_with_assignment_operator(&self) -> bool {
        true
    }

    as_in_sqlparser!(
        supports_unicode_string_literal,
        supports_filter_during_aggregation,
        supports_group_by_expr,
        supports_alter_user_as_alter_role,
        allow_extract_custom,
        allow_extract_single_quotes,
        supports_create_index_with_clause,
        supports_explain_with_utility_options,
        supports_listen_notify,
        supports_exclude_constraint,
        supports_factorial_operator,
        supports_bitwise_shift_operators,
        supports_comment_on,
        supports_load_extension,
        supports_named_fn_args_with_colon_operator,
        supports_empty_projections,
        supports_nested_comments,
        supports_string_escape_constant,
        supports_numeric_literal_underscores,
        supports_array_typedef_with_brackets,
        supports_geometric_types,
        supports_order_by_using_operator,
        supports_set_names,
        supports_alter_column_type_using,
        supports_left_associative_joins_without_parens,
        supports_notnull_operator,
        supports_interval_options,
        supports_insert_table_alias,
        supports_create_table_like_parenthesized,
        supports_select_wildcard_with_alias,
        supports_comma_separated_trim,
        supports_xml_expressions,
        supports_aliased_function_args,
        supports_comment_optimizer_hint,
    );
}
