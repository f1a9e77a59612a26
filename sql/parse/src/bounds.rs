//! How deep a statement's trees may become, told from its tokens: whatever parses, binds, optimizes or runs it recurses
//! into them, and whoever drops them does.
//!
//! A parenthesis, a bracket, CASE and a prefix operator are a level of nesting. Operators without parentheses between
//! them make a tree that leans to one side, as deep as the chain is long; a weaker operator starts its operands anew,
//! so `a = 1 AND b = 2 OR …` is as deep as there are ORs, and one AND and one comparison more. The count is never less
//! than the depth, and no more than a few times as much.

use sql_values::error::{SqlError, SqlResult, SqlState};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::place::Places;

/// How deeply parentheses, brackets and CASE may be nested.
pub const MAX_NESTING: usize = 1_000;

/// How deep the parser may recurse: a level of nesting is some of its own.
pub(crate) const MAX_RECURSION: usize = 4 * MAX_NESTING;

/// How deep a chain of operators may be, with all that its operands hold.
pub(crate) const MAX_CHAIN: usize = 21_000;

/// How large the nested parts of a statement may be, each level counted anew: whatever looks at a part from every level
/// around it takes time in proportion.
const MAX_NESTED: usize = 30_000_000;

/// How many SELECTs and VALUES a statement may have: each is thousands of bytes of tree, and more of plan.
const MAX_SELECTS: usize = 20_000;

/// What a UNION counts for: a level of it is many levels of a plan.
const UNION: usize = 4;
/// What INTERSECT and EXCEPT count for: each of their rows passes all levels, one after the other.
const DIFFERENCE: usize = 18;

/// How many parts a name may have. The binder takes three.
const MAX_PARTS: usize = 100;

/// How many items a list may have of which the binder takes fewer: the clauses of a query, the columns of a table or a key,
/// the arguments of a function. Thousands of bytes of tree each, so that it is better refused before there is one.
/// What has no such bound are the values of VALUES, IN and ARRAY.
const MAX_ITEMS: usize = 10_000;

/// The depth of the expressions between two parentheses.
#[derive(Default)]
struct Level {
    /// Opened by CASE, and not by a parenthesis.
    is_case: bool,
    /// UNION, INTERSECT and EXCEPT.
    sets: usize,
    /// Commas of a list that counts ([`MAX_ITEMS`]).
    items: usize,
    counts: bool,
    /// The deepest of the expressions that have ended.
    deepest: usize,
    /// The expression under way.
    expr: Chain,
}

/// Operators of an expression, by how they bind. The present operand's, and the most that an operand had.
#[derive(Default)]
struct Chain {
    ors: usize,
    ands: usize,
    ands_most: usize,
    others: usize,
    others_most: usize,
    /// The deepest of its parentheses.
    inner: usize,
}

impl Chain {
    fn depth(&self) -> usize {
        self.ors + self.ands_most + self.others_most + self.inner
    }

    fn or(&mut self) {
        self.ors += 1;
        self.ands = 0;
        self.others = 0;
    }

    fn and(&mut self) {
        self.ands += 1;
        self.ands_most = self.ands_most.max(self.ands);
        self.others = 0;
    }

    fn other(&mut self) {
        self.others += 1;
        self.others_most = self.others_most.max(self.others);
    }
}

impl Level {
    fn depth(&self) -> usize {
        self.sets + self.deepest.max(self.expr.depth())
    }

    fn set_operation(&mut self, levels: usize) {
        self.next();
        self.sets += levels;
    }

    /// The next expression has nothing to do with the one before.
    fn next(&mut self) {
        self.deepest = self.deepest.max(self.expr.depth());
        self.expr = Chain::default();
    }
}

/// Refuses a statement whose trees would be too deep.
pub(crate) fn check(tokens: &[TokenWithSpan], places: &Places) -> SqlResult<()> {
    let mut outer: Vec<Level> = Vec::new();
    let mut level = Level::default();
    // Prefix operators one after the other: each is a level, without a parenthesis.
    let mut prefixes = 0;
    let mut nested = 0;
    let mut selects = 0;
    // Of the name under way, and whether its next part has to come.
    let (mut parts, mut is_open) = (0, false);
    // A name stands before.
    let mut is_named = false;
    for token in tokens {
        nested += outer.len();
        prefixes = if is_prefix(&token.token) { prefixes + 1 } else { 0 };
        match &token.token {
            Token::Period => parts += 1,
            Token::Word(_) if is_open => {}
            _ => parts = 0,
        }
        is_open = token.token == Token::Period;
        if parts > MAX_PARTS {
            let text = "improper qualified name (too many dotted names)";
            let error = SqlError::new(SqlState::SYNTAX_ERROR, text);
            return Err(error.at_if(places.of_span(token.span)));
        }
        let was_named = std::mem::replace(&mut is_named, names(&token.token));
        match &token.token {
            Token::LParen => {
                outer.push(std::mem::replace(
                    &mut level,
                    Level { counts: was_named, ..Level::default() },
                ));
            }
            Token::LBracket => {
                // Of `int[][]` each pair is a level of the type.
                level.expr.other();
                outer.push(std::mem::take(&mut level));
            }
            Token::RParen | Token::RBracket => while close(&mut outer, &mut level) {},
            Token::Comma => {
                level.items += usize::from(level.counts);
                level.next();
            }
            Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                Keyword::CASE => {
                    let case = Level { is_case: true, ..Level::default() };
                    outer.push(std::mem::replace(&mut level, case));
                }
                Keyword::END if level.is_case => {
                    close(&mut outer, &mut level);
                }
                Keyword::UNION => level.set_operation(UNION),
                Keyword::EXCEPT | Keyword::INTERSECT => level.set_operation(DIFFERENCE),
                Keyword::OR => level.expr.or(),
                Keyword::AND => level.expr.and(),
                keyword if begins_expression(keyword) => {
                    selects += usize::from(matches!(keyword, Keyword::SELECT | Keyword::VALUES));
                    level.counts = keyword != Keyword::VALUES;
                    level.items = 0;
                    level.next();
                }
                keyword if is_operator(keyword) => level.expr.other(),
                _ => {}
            },
            Token::Word(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Placeholder(_)
            | Token::Period => {}
            _ => level.expr.other(),
        }
        let deep = outer.len() + prefixes > MAX_NESTING || level.depth() > MAX_CHAIN;
        let long = level.items >= MAX_ITEMS;
        if deep || long || nested > MAX_NESTED || selects > MAX_SELECTS {
            let error = if long { too_long() } else { too_complex() };
            return Err(match places.of_span(token.span) {
                Some(position) => error.at(position),
                None => error,
            });
        }
    }
    Ok(())
}

fn too_long() -> SqlError {
    let text = format!("lists can have at most {MAX_ITEMS} entries here");
    SqlError::new(SqlState::TOO_MANY_COLUMNS, text)
}

/// Goes back to the level further out; true iff the one that ended was CASE's, and no parenthesis.
fn close(outer: &mut Vec<Level>, level: &mut Level) -> bool {
    let Some(mut before) = outer.pop() else { return false };
    before.expr.inner = before.expr.inner.max(level.depth() + 1);
    std::mem::replace(level, before).is_case
}

fn is_prefix(token: &Token) -> bool {
    match token {
        Token::Minus | Token::Plus | Token::CustomBinaryOperator(_) => true,
        Token::Word(word) => word.keyword == Keyword::NOT && word.quote_style.is_none(),
        _ => false,
    }
}

/// What has a list in parentheses behind it, of columns or of arguments: a name, and words like KEY. But for what begins a
/// list of values.
fn names(token: &Token) -> bool {
    let Token::Word(word) = token else { return false };
    if word.quote_style.is_some() {
        return true;
    }
    let keyword = word.keyword;
    let any =
        matches!(keyword, Keyword::AND | Keyword::OR | Keyword::ANY | Keyword::ALL | Keyword::SOME);
    !any && !is_operator(keyword) && !begins_expression(keyword)
}

/// Words after which an expression begins that is no operand of what stands before them.
fn begins_expression(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::SELECT
            | Keyword::FROM
            | Keyword::WHERE
            | Keyword::HAVING
            | Keyword::ON
            | Keyword::BY
            | Keyword::LIMIT
            | Keyword::OFFSET
            | Keyword::VALUES
            | Keyword::SET
            | Keyword::RETURNING
            | Keyword::WHEN
            | Keyword::THEN
            | Keyword::ELSE
    )
}

/// Words that bind operands.
fn is_operator(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::NOT
            | Keyword::IS
            | Keyword::NOTNULL
            | Keyword::IN
            | Keyword::LIKE
            | Keyword::ILIKE
            | Keyword::SIMILAR
            | Keyword::BETWEEN
            | Keyword::AT
            | Keyword::COLLATE
            | Keyword::OPERATOR
            | Keyword::OVERLAPS
            | Keyword::XOR
            | Keyword::DIV
            | Keyword::RLIKE
            | Keyword::REGEXP
            | Keyword::PIVOT
            | Keyword::UNPIVOT
    )
}

/// The error of a statement that is nested more deeply than a bound.
pub fn too_complex() -> SqlError {
    SqlError::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        .hint("The statement is nested too deeply.")
}
