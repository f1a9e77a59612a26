//! Row locks: PostgreSQL's clauses, brought into the form that sqlparser knows.
//!
//! sqlparser has FOR UPDATE and FOR SHARE, with one name after OF. So `FOR UPDATE OF a, b NOWAIT` becomes a clause for each
//! name, `FOR NO KEY UPDATE` and `FOR KEY SHARE` become the stronger clause of their kind, and the places remember by the
//! location of the name after OF that the weaker one was meant. Where there is no OF a name that stands for all tables is
//! put in.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::place::Places;

/// A clause as it is written.
struct Clause {
    /// The tokens that it has.
    length: usize,
    /// Those before OF.
    words: usize,
    update: bool,
    weaker: bool,
    /// The tokens of each name.
    names: Vec<Vec<TokenWithSpan>>,
    /// NOWAIT, or SKIP LOCKED.
    policy: Vec<TokenWithSpan>,
}

/// Rewrites the clauses of a statement.
pub(super) fn patch(tokens: &mut Vec<TokenWithSpan>, places: &mut Places) {
    let mut index = 0;
    while index < tokens.len() {
        let Some(clause) = read(&tokens[index..]) else {
            index += 1;
            continue;
        };
        if !clause.weaker && clause.names.len() < 2 {
            index += clause.length;
            continue;
        }
        let span = tokens[index].span;
        let word = |word: &str| TokenWithSpan::new(Token::make_keyword(word), span);
        let all = clause.names.is_empty();
        let names = match all {
            // At the last word: the statement's text ends where its last token does.
            true => {
                let span = tokens[index + clause.words - 1].span;
                vec![vec![TokenWithSpan::new(Token::make_word("all", Some('"')), span)]]
            }
            false => clause.names,
        };
        let mut written = Vec::new();
        for name in names {
            if clause.weaker
                && let Some(first) = name.first()
            {
                places.note_weaker_lock(first.span.start, all);
            }
            written.extend([word("FOR"), word(if clause.update { "UPDATE" } else { "SHARE" })]);
            written.push(word("OF"));
            written.extend(name);
            written.extend(clause.policy.iter().cloned());
        }
        let length = written.len();
        tokens.splice(index..index + clause.length, written);
        index += length;
    }
}

/// The clause that begins here, if one does. What is wrong in it is left for the parser to tell.
fn read(tokens: &[TokenWithSpan]) -> Option<Clause> {
    let is = |at: usize, word: &str| match tokens.get(at).map(|token| &token.token) {
        Some(Token::Word(found)) => {
            found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word)
        }
        _ => false,
    };
    let (update, weaker, mut at) = match () {
        () if !is(0, "for") => return None,
        () if is(1, "update") => (true, false, 2),
        () if is(1, "share") => (false, false, 2),
        () if is(1, "key") && is(2, "share") => (false, true, 3),
        () if is(1, "no") && is(2, "key") && is(3, "update") => (true, true, 4),
        () => return None,
    };
    let words = at;
    let mut names = Vec::new();
    if is(at, "of") {
        loop {
            at += 1;
            let begin = at;
            loop {
                tokens.get(at).filter(|token| matches!(token.token, Token::Word(_)))?;
                at += 1;
                if tokens.get(at).is_none_or(|token| token.token != Token::Period) {
                    break;
                }
                at += 1;
            }
            names.push(tokens[begin..at].to_vec());
            if tokens.get(at).is_none_or(|token| token.token != Token::Comma) {
                break;
            }
        }
    }
    let begin = at;
    if is(at, "nowait") {
        at += 1;
    } else if is(at, "skip") && is(at + 1, "locked") {
        at += 2;
    }
    Some(Clause { length: at, words, update, weaker, names, policy: tokens[begin..at].to_vec() })
}
