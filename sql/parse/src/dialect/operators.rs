//! How operators group: PostgreSQL's precedence, read as its grammar means it.
//!
//! sqlparser asks [`precedence`] how tightly the next token binds, and calls [`prefix`] and [`infix`] to read it. Here
//! every operand is read by [`operand`], because sqlparser's own loop differs in three points: a COLLATE belongs to
//! what is before it before any prefix is looked at, nothing is without associativity, and BETWEEN's first bound may be
//! any expression.
//!
//! Levels, from loose to tight: OR; AND; NOT; IS, ISNULL, NOTNULL; comparisons; BETWEEN, IN, LIKE, ILIKE, SIMILAR; all
//! other operators, in front of an operand too; `+ -`; `* / %`; `^`; AT TIME ZONE; COLLATE; `-` and `+` in front of an
//! operand; subscripts; `::`; dots. Those from IS to LIKE do not associate: `a < b < c` is an error at the second `<`.
//! What ends with a parenthesis or a word (`IN (…)`, `= ANY (…)`, `IS NULL`) is complete, and may be followed by its like.
//!
//! All pairs are recorded in `testdata/precedence.tsv`, and compared by the tests.

use sql_values::stack::roomy;
use sqlparser::ast::{
    BinaryOperator, CastKind, Expr, Ident, Interval, TrimWhereField, UnaryOperator,
};
use sqlparser::dialect::Precedence;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::Postgres;
use crate::bounds::MAX_RECURSION;

const NONE: u8 = 0;
const OR: u8 = 10;
const AND: u8 = 20;
const NOT: u8 = 30;
const IS: u8 = 40;
const COMPARISON: u8 = 50;
const LIKE: u8 = 60;
const OTHER: u8 = 70;
const ADD: u8 = 80;
const MULTIPLY: u8 = 90;
const POWER: u8 = 100;
const AT: u8 = 110;
const COLLATE: u8 = 120;
const SIGN: u8 = 125;
const CAST: u8 = 140;
const PERIOD: u8 = 200;

/// Which expressions may stand somewhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any.
    Any,
    /// Those without AND, OR, NOT, LIKE and so on, IN, BETWEEN, IS NULL, AT TIME ZONE and COLLATE outside of
    /// parentheses: BETWEEN's first bound.
    Plain,
}

/// The levels that sqlparser asks for by name.
pub(crate) fn level(level: Precedence) -> u8 {
    match level {
        Precedence::Period => PERIOD,
        Precedence::DoubleColon => CAST,
        Precedence::AtTz => AT,
        Precedence::MulDivModOp => MULTIPLY,
        Precedence::PlusMinus => ADD,
        Precedence::Xor | Precedence::Ampersand | Precedence::Pipe | Precedence::PgOther => OTHER,
        Precedence::Caret => POWER,
        // A subscript's bound ends at its colon, which is no operator.
        Precedence::Colon => NONE,
        Precedence::Between | Precedence::Like => LIKE,
        Precedence::Eq => COMPARISON,
        Precedence::Is => IS,
        Precedence::UnaryNot => NOT,
        Precedence::And => AND,
        Precedence::Or => OR,
    }
}

/// True iff a token is a keyword, unquoted.
pub(crate) fn is_word(token: &Token, keyword: Keyword) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.keyword == keyword)
}

fn is_isnull(token: &Token) -> bool {
    matches!(token, Token::Word(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("isnull"))
}

/// How tightly the next token binds what is before it; zero ends the expression.
pub(crate) fn precedence(parser: &Parser<'_>, kind: Kind) -> u8 {
    let token = &parser.peek_token_ref().token;
    let next = |ahead: usize, keyword| is_word(&parser.peek_nth_token_ref(ahead).token, keyword);
    let followed = parser.peek_nth_token_ref(1).token == Token::LParen;
    match token {
        Token::Word(word) if word.quote_style.is_none() => {
            if kind == Kind::Plain {
                let distinct = next(1, Keyword::DISTINCT)
                    || (next(1, Keyword::NOT) && next(2, Keyword::DISTINCT));
                return match word.keyword {
                    Keyword::IS if distinct => IS,
                    Keyword::OPERATOR if followed => OTHER,
                    _ => NONE,
                };
            }
            match word.keyword {
                Keyword::OR => OR,
                Keyword::AND => AND,
                Keyword::IS | Keyword::NOTNULL => IS,
                Keyword::BETWEEN
                | Keyword::IN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::SIMILAR => LIKE,
                Keyword::NOT => {
                    let words = [
                        Keyword::BETWEEN,
                        Keyword::IN,
                        Keyword::LIKE,
                        Keyword::ILIKE,
                        Keyword::SIMILAR,
                    ];
                    if words.into_iter().any(|word| next(1, word)) { LIKE } else { NONE }
                }
                Keyword::OPERATOR if followed => OTHER,
                Keyword::OVERLAPS => OTHER,
                Keyword::AT if next(1, Keyword::TIME) && next(2, Keyword::ZONE) => AT,
                Keyword::COLLATE => COLLATE,
                _ if is_isnull(token) => IS,
                _ => NONE,
            }
        }
        Token::Eq | Token::Neq | Token::Lt | Token::Gt | Token::LtEq | Token::GtEq => COMPARISON,
        Token::CustomBinaryOperator(_) => OTHER,
        Token::Plus | Token::Minus => ADD,
        Token::Mul | Token::Div | Token::Mod => MULTIPLY,
        Token::Caret => POWER,
        Token::DoubleColon => CAST,
        _ => NONE,
    }
}

/// An operand: everything that binds tighter than `above`.
fn operand(
    dialect: &Postgres,
    parser: &mut Parser<'_>,
    above: u8,
    kind: Kind,
) -> Result<Expr, ParserError> {
    let depth = dialect.depth.get();
    if depth >= MAX_RECURSION {
        return Err(ParserError::RecursionLimitExceeded);
    }
    dialect.depth.set(depth + 1);
    let result = roomy(|| {
        let mut expr = match prefix(dialect, parser, kind) {
            Some(expr) => expr?,
            None => {
                let expr = parser.parse_prefix()?;
                parser.parse_compound_expr(expr, vec![])?
            }
        };
        while precedence(parser, kind) > above {
            expr = infix(dialect, parser, expr, kind)?;
        }
        Ok(expr)
    });
    dialect.depth.set(depth);
    result
}

/// Reads all operators that follow a left operand.
pub(crate) fn rest(
    dialect: &Postgres,
    parser: &mut Parser<'_>,
    left: Expr,
) -> Result<Expr, ParserError> {
    let mut expr = infix(dialect, parser, left, Kind::Any)?;
    while precedence(parser, Kind::Any) > NONE {
        expr = infix(dialect, parser, expr, Kind::Any)?;
    }
    Ok(expr)
}

/// Reads an operator in front of its operand; none if there is no such operator here.
pub(crate) fn prefix(
    dialect: &Postgres,
    parser: &mut Parser<'_>,
    kind: Kind,
) -> Option<Result<Expr, ParserError>> {
    let token = parser.peek_token_ref();
    let (op, above) = match &token.token {
        token if is_word(token, Keyword::NOT) => {
            return match kind {
                Kind::Any => Some(not(dialect, parser)),
                Kind::Plain => Some(unexpected(parser)),
            };
        }
        token if is_word(token, Keyword::OPERATOR) => {
            if parser.peek_nth_token_ref(1).token != Token::LParen {
                return None;
            }
            parser.advance_token();
            let prefix = operator_name(parser).map(|parts| parts.join("."));
            return Some(prefix.and_then(|prefix| {
                let value = Box::new(operand(dialect, parser, OTHER, kind)?);
                Ok(Expr::Prefixed { prefix: Ident::new(prefix), value })
            }));
        }
        // sqlparser forgets the precision.
        token if is_word(token, Keyword::INTERVAL) => {
            let (open, digits, close) = (
                &parser.peek_nth_token_ref(1).token,
                &parser.peek_nth_token_ref(2).token,
                &parser.peek_nth_token_ref(3).token,
            );
            return match (open, digits, close) {
                (Token::LParen, Token::Number(digits, _), Token::RParen) => {
                    let digits = digits.parse().ok()?;
                    Some(precise_interval(parser, digits))
                }
                _ => None,
            };
        }
        token if is_word(token, Keyword::TRIM) => {
            let side = match &parser.peek_nth_token_ref(2).token {
                token if is_word(token, Keyword::LEADING) => TrimWhereField::Leading,
                token if is_word(token, Keyword::TRAILING) => TrimWhereField::Trailing,
                token if is_word(token, Keyword::BOTH) => TrimWhereField::Both,
                _ => return None,
            };
            if !is_word(&parser.peek_nth_token_ref(3).token, Keyword::FROM) {
                return None;
            }
            return Some(trim_blanks(parser, side));
        }
        // A scalar query.
        Token::LParen if is_word(&parser.peek_nth_token_ref(1).token, Keyword::VALUES) => {
            parser.advance_token();
            return Some(parser.parse_query().and_then(|query| {
                parser.expect_token(&Token::RParen)?;
                Ok(Expr::Subquery(query))
            }));
        }
        token if is_word(token, Keyword::POSITION) => {
            if parser.peek_nth_token_ref(1).token != Token::LParen {
                return None;
            }
            return Some(position(dialect, parser));
        }
        Token::Minus => (UnaryOperator::Minus, SIGN),
        Token::Plus => (UnaryOperator::Plus, SIGN),
        Token::CustomBinaryOperator(name) => match name.as_str() {
            "~" => (UnaryOperator::BitwiseNot, OTHER),
            "@" => (UnaryOperator::PGAbs, OTHER),
            "|/" => (UnaryOperator::PGSquareRoot, OTHER),
            "||/" => (UnaryOperator::PGCubeRoot, OTHER),
            name => {
                let prefix = Ident::new(name);
                parser.advance_token();
                return Some(
                    operand(dialect, parser, OTHER, kind)
                        .map(|value| Expr::Prefixed { prefix, value: Box::new(value) }),
                );
            }
        },
        _ => return None,
    };
    parser.advance_token();
    let operand = operand(dialect, parser, above, kind);
    Some(operand.map(|expr| Expr::UnaryOp { op, expr: Box::new(expr) }))
}

fn not(dialect: &Postgres, parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
    parser.advance_token();
    Ok(match operand(dialect, parser, NOT, Kind::Any)? {
        Expr::Exists { subquery, negated: false } => Expr::Exists { subquery, negated: true },
        expr => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(expr) },
    })
}

/// Reads what follows a left operand: an operator with its right operand, or a test, a cast, a collation.
fn infix(
    dialect: &Postgres,
    parser: &mut Parser<'_>,
    left: Expr,
    kind: Kind,
) -> Result<Expr, ParserError> {
    let level = precedence(parser, kind);
    let token = parser.next_token();
    let op = match &token.token {
        Token::Word(word) => match word.keyword {
            Keyword::OR => BinaryOperator::Or,
            Keyword::AND => BinaryOperator::And,
            Keyword::OVERLAPS => BinaryOperator::Overlaps,
            Keyword::OPERATOR => BinaryOperator::PGCustomBinaryOperator(operator_name(parser)?),
            _ => return form(dialect, parser, left, &token.token, kind),
        },
        Token::Eq => BinaryOperator::Eq,
        Token::Neq => BinaryOperator::NotEq,
        Token::Lt => BinaryOperator::Lt,
        Token::Gt => BinaryOperator::Gt,
        Token::LtEq => BinaryOperator::LtEq,
        Token::GtEq => BinaryOperator::GtEq,
        Token::Plus => BinaryOperator::Plus,
        Token::Minus => BinaryOperator::Minus,
        Token::Mul => BinaryOperator::Multiply,
        Token::Div => BinaryOperator::Divide,
        Token::Mod => BinaryOperator::Modulo,
        Token::Caret => BinaryOperator::PGExp,
        Token::CustomBinaryOperator(name) => BinaryOperator::Custom(name.clone()),
        Token::DoubleColon => {
            let data_type = parser.parse_data_type()?;
            let (kind, expr) = (CastKind::DoubleColon, Box::new(left));
            return Ok(Expr::Cast { kind, expr, data_type, format: None });
        }
        _ => return parser.expected("an operator", token),
    };
    if level > AND && quantifier(parser).is_some() {
        return match kind {
            Kind::Any => quantified(parser, left, op),
            Kind::Plain => unexpected(parser),
        };
    }
    let right = operand(dialect, parser, level, kind)?;
    not_associative(parser, level, kind)?;
    Ok(Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) })
}

/// `INTERVAL(digits) '…'`.
fn precise_interval(parser: &mut Parser<'_>, digits: u64) -> Result<Expr, ParserError> {
    for _ in 0..4 {
        parser.advance_token();
    }
    let value = Box::new(Expr::Value(parser.parse_value()?));
    Ok(Expr::Interval(Interval {
        value,
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: Some(digits),
    }))
}

/// `TRIM(LEADING FROM text)`.
fn trim_blanks(parser: &mut Parser<'_>, side: TrimWhereField) -> Result<Expr, ParserError> {
    for _ in 0..4 {
        parser.advance_token();
    }
    let expr = Box::new(parser.parse_expr()?);
    parser.expect_token(&Token::RParen)?;
    Ok(Expr::Trim { expr, trim_where: Some(side), trim_what: None, trim_characters: None })
}

/// `POSITION(needle IN hay)`.
fn position(dialect: &Postgres, parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
    parser.advance_token();
    parser.expect_token(&Token::LParen)?;
    let expr = Box::new(operand(dialect, parser, NONE, Kind::Plain)?);
    parser.expect_keyword_is(Keyword::IN)?;
    let r#in = Box::new(operand(dialect, parser, NONE, Kind::Plain)?);
    parser.expect_token(&Token::RParen)?;
    Ok(Expr::Position { expr, r#in })
}

/// What begins with a word that is no plain operator.
fn form(
    dialect: &Postgres,
    parser: &mut Parser<'_>,
    left: Expr,
    word: &Token,
    kind: Kind,
) -> Result<Expr, ParserError> {
    let left = Box::new(left);
    let Token::Word(first) = word else { return unexpected(parser) };
    let negated = first.keyword == Keyword::NOT;
    let keyword = if negated {
        match parser.next_token().token {
            Token::Word(second) => second.keyword,
            _ => return unexpected(parser),
        }
    } else {
        first.keyword
    };
    match keyword {
        Keyword::IS => is(dialect, parser, left, kind),
        Keyword::NOTNULL => Ok(Expr::IsNotNull(left)),
        Keyword::AT => {
            parser.expect_keywords(&[Keyword::TIME, Keyword::ZONE])?;
            let time_zone = Box::new(operand(dialect, parser, AT, kind)?);
            Ok(Expr::AtTimeZone { timestamp: left, time_zone })
        }
        Keyword::COLLATE => {
            Ok(Expr::Collate { expr: left, collation: parser.parse_object_name(false)? })
        }
        Keyword::IN => {
            if parser.peek_token_ref().token != Token::LParen {
                return unexpected(parser);
            }
            parser.parse_in(*left, negated)
        }
        Keyword::BETWEEN => {
            let low = Box::new(operand(dialect, parser, NONE, Kind::Plain)?);
            parser.expect_keyword_is(Keyword::AND)?;
            let high = Box::new(operand(dialect, parser, LIKE, kind)?);
            not_associative(parser, LIKE, kind)?;
            Ok(Expr::Between { expr: left, negated, low, high })
        }
        Keyword::LIKE | Keyword::ILIKE | Keyword::SIMILAR => {
            like(dialect, parser, left, keyword, negated, kind)
        }
        _ if is_isnull(word) => Ok(Expr::IsNull(left)),
        _ => unexpected(parser),
    }
}

fn is(
    dialect: &Postgres,
    parser: &mut Parser<'_>,
    left: Box<Expr>,
    kind: Kind,
) -> Result<Expr, ParserError> {
    let negated = is_word(&parser.peek_token_ref().token, Keyword::NOT);
    let second = usize::from(negated);
    let Token::Word(word) = &parser.peek_nth_token_ref(second).token else {
        let _ = parser.parse_keyword(Keyword::NOT);
        return unexpected(parser);
    };
    let test: fn(Box<Expr>) -> Expr = match (word.keyword, negated) {
        (Keyword::NULL, false) => Expr::IsNull,
        (Keyword::NULL, true) => Expr::IsNotNull,
        (Keyword::TRUE, false) => Expr::IsTrue,
        (Keyword::TRUE, true) => Expr::IsNotTrue,
        (Keyword::FALSE, false) => Expr::IsFalse,
        (Keyword::FALSE, true) => Expr::IsNotFalse,
        (Keyword::UNKNOWN, false) => Expr::IsUnknown,
        (Keyword::UNKNOWN, true) => Expr::IsNotUnknown,
        (Keyword::DISTINCT, _) => {
            let _ = parser.parse_keyword(Keyword::NOT);
            parser.expect_keywords(&[Keyword::DISTINCT, Keyword::FROM])?;
            let right = Box::new(operand(dialect, parser, IS, kind)?);
            not_associative(parser, IS, kind)?;
            return Ok(if negated {
                Expr::IsNotDistinctFrom(left, right)
            } else {
                Expr::IsDistinctFrom(left, right)
            });
        }
        _ => return parser.parse_unicode_is_normalized(*left),
    };
    for _ in 0..=second {
        parser.advance_token();
    }
    Ok(test(left))
}

fn like(
    dialect: &Postgres,
    parser: &mut Parser<'_>,
    left: Box<Expr>,
    keyword: Keyword,
    negated: bool,
    kind: Kind,
) -> Result<Expr, ParserError> {
    if keyword == Keyword::SIMILAR {
        parser.expect_keyword_is(Keyword::TO)?;
    } else if quantifier(parser).is_some() {
        let op = match (keyword, negated) {
            (Keyword::LIKE, false) => "~~",
            (Keyword::LIKE, true) => "!~~",
            (_, false) => "~~*",
            (_, true) => "!~~*",
        };
        return quantified(parser, *left, BinaryOperator::Custom(op.to_owned()));
    }
    let pattern = Box::new(operand(dialect, parser, LIKE, kind)?);
    let escape_char = if parser.parse_keyword(Keyword::ESCAPE) {
        Some(Box::new(operand(dialect, parser, LIKE, kind)?))
    } else {
        None
    };
    not_associative(parser, LIKE, kind)?;
    let (any, expr) = (false, left);
    Ok(match keyword {
        Keyword::LIKE => Expr::Like { negated, any, expr, pattern, escape_char },
        Keyword::ILIKE => Expr::ILike { negated, any, expr, pattern, escape_char },
        _ => Expr::SimilarTo { negated, expr, pattern, escape_char },
    })
}

/// ANY, SOME or ALL with a parenthesis.
fn quantifier(parser: &Parser<'_>) -> Option<Keyword> {
    let token = &parser.peek_token_ref().token;
    [Keyword::ANY, Keyword::SOME, Keyword::ALL]
        .into_iter()
        .find(|keyword| is_word(token, *keyword))
        .filter(|_| parser.peek_nth_token_ref(1).token == Token::LParen)
}

/// `op ANY (…)`: the parenthesis ends it.
fn quantified(
    parser: &mut Parser<'_>,
    left: Expr,
    compare_op: BinaryOperator,
) -> Result<Expr, ParserError> {
    let all = is_word(&parser.peek_token_ref().token, Keyword::ALL);
    let is_some = is_word(&parser.peek_token_ref().token, Keyword::SOME);
    parser.advance_token();
    let right = match parser.parse_prefix()? {
        Expr::Nested(inner) => inner,
        Expr::Tuple(_) => {
            parser.prev_token();
            return unexpected(parser);
        }
        subquery => Box::new(subquery),
    };
    let left = Box::new(left);
    Ok(if all {
        Expr::AllOp { left, compare_op, right }
    } else {
        Expr::AnyOp { left, compare_op, right, is_some }
    })
}

/// The parts of `OPERATOR(schema.name)`, after the word.
fn operator_name(parser: &mut Parser<'_>) -> Result<Vec<String>, ParserError> {
    parser.expect_token(&Token::LParen)?;
    let mut parts = Vec::new();
    loop {
        let token = parser.next_token();
        match &token.token {
            Token::Word(word) if parser.peek_token_ref().token == Token::Period => {
                parts.push(crate::name::fold_text(&word.value, word.quote_style.is_some()));
                parser.expect_token(&Token::Period)?;
            }
            op if is_operator(op) => {
                parts.push(op.to_string());
                parser.expect_token(&Token::RParen)?;
                return Ok(parts);
            }
            _ => return parser.expected("an operator", token),
        }
    }
}

/// True iff a token is an operator, by its characters.
pub(crate) fn is_operator(token: &Token) -> bool {
    matches!(
        token,
        Token::Eq
            | Token::Neq
            | Token::Lt
            | Token::Gt
            | Token::LtEq
            | Token::GtEq
            | Token::Plus
            | Token::Minus
            | Token::Mul
            | Token::Div
            | Token::Mod
            | Token::Caret
            | Token::CustomBinaryOperator(_)
    )
}

/// After a right operand: what does not associate may not be followed by its like.
fn not_associative(parser: &mut Parser<'_>, level: u8, kind: Kind) -> Result<(), ParserError> {
    if (IS..=LIKE).contains(&level) && precedence(parser, kind) == level {
        return unexpected(parser);
    }
    Ok(())
}

fn unexpected<T>(parser: &Parser<'_>) -> Result<T, ParserError> {
    parser.expected_ref("an expression", parser.peek_token_ref())
}

#[cfg(test)]
mod tests;
