//! WITH.
//!
//! At the top of a statement a WITH query is run once and read by name. Further in it may refer to outer rows, so it is
//! bound anew wherever it is used, with the names that stood where it was written.

use std::collections::BTreeSet;
use std::sync::Arc;

use sql_parse::name;
use sql_plan::{Node, OutputColumn, node};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::stack::Tree;
use sqlparser::ast;

use super::Binder;

/// A WITH query in view.
#[derive(Clone)]
pub(crate) struct With {
    name: String,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    /// Run once: its number, and its columns.
    Once(usize, Vec<OutputColumn>),
    /// Bound where it is used, with so many levels and WITH queries in view.
    Anew { query: Arc<Tree<ast::Query>>, columns: Vec<String>, levels: usize, withs: usize },
}

impl Binder<'_> {
    /// Brings WITH queries into view; how many there were before.
    pub(crate) fn push_with(&mut self, with: Option<&ast::With>) -> SqlResult<usize> {
        let before = self.withs.len();
        let Some(with) = with else { return Ok(before) };
        if with.recursive {
            return Err(SqlError::unsupported("WITH RECURSIVE")
                .at_if(self.places.of_span(with.with_token.0.span)));
        }
        let mut names = BTreeSet::new();
        for cte in &with.cte_tables {
            let name = name::fold(&cte.alias.name);
            let position = self.places.of_ident(&cte.alias.name);
            if !names.insert(name.clone()) {
                return Err(SqlError::new(
                    SqlState::DUPLICATE_ALIAS,
                    format!("WITH query name \"{name}\" specified more than once"),
                )
                .at_if(position));
            }
            if !matches!(
                *cte.query.body,
                ast::SetExpr::Select(_)
                    | ast::SetExpr::Query(_)
                    | ast::SetExpr::SetOperation { .. }
                    | ast::SetExpr::Values(_)
            ) {
                return Err(SqlError::unsupported("a WITH query that writes").at_if(position));
            }
            let columns: Vec<String> =
                cte.alias.columns.iter().map(|column| name::fold(&column.name)).collect();
            let kind = if self.levels.is_empty() {
                let (node, mut outputs) = self.query(&cte.query, None)?;
                rename(&mut outputs, &columns, &name)?;
                self.ctes.push(node);
                Kind::Once(self.ctes.len() - 1, outputs)
            } else {
                Kind::Anew {
                    query: Arc::new(Tree::new((*cte.query).clone())),
                    columns,
                    levels: self.levels.len(),
                    withs: self.withs.len(),
                }
            };
            self.withs.push(With { name, kind });
        }
        Ok(before)
    }

    /// Takes WITH queries out of view.
    pub(crate) fn pop_with(&mut self, before: usize) {
        self.withs.truncate(before);
    }

    /// The WITH query of a name.
    pub(crate) fn with_query(
        &mut self,
        name: &str,
    ) -> SqlResult<Option<(Node, Vec<OutputColumn>)>> {
        let Some(with) = self.withs.iter().rev().find(|with| with.name == name).cloned() else {
            return Ok(None);
        };
        match with.kind {
            Kind::Once(index, columns) => {
                let types = columns.iter().map(|column| column.ty).collect();
                Ok(Some((Node::CteScan(node::CteScan { index, types }), columns)))
            }
            Kind::Anew { query, columns, levels, withs } => {
                // Names of the queries between it and here are not its own; their rows still lie in between.
                let hidden = self.withs.split_off(withs);
                let mut closed = Vec::new();
                for (index, level) in self.levels.iter_mut().enumerate().skip(levels) {
                    if !level.closed {
                        level.closed = true;
                        closed.push(index);
                    }
                }
                let result = self.anew(|binder| binder.query(&query, None));
                for index in closed {
                    self.levels[index].closed = false;
                }
                self.withs.extend(hidden);
                let (node, mut outputs) = result?;
                rename(&mut outputs, &columns, name)?;
                Ok(Some((node, outputs)))
            }
        }
    }
}

fn rename(outputs: &mut [OutputColumn], names: &[String], with: &str) -> SqlResult<()> {
    if names.len() > outputs.len() {
        return Err(SqlError::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!(
                "WITH query \"{with}\" has {} columns available but {} columns specified",
                outputs.len(),
                names.len()
            ),
        ));
    }
    for (output, name) in outputs.iter_mut().zip(names) {
        output.name.clone_from(name);
    }
    Ok(())
}
