//! stub
#![allow(missing_docs, unused)]
use crate::catalog::CatalogView;
use crate::error::SqlResult;
use crate::parse::{Expression, Query};
use crate::plan::{Expr, Plan};
use crate::types::SqlType;
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    pub catalog: &'a dyn CatalogView,
    pub functions: &'a crate::func::Registry,
    pub parameters: &'a [SqlType],
}
pub fn bind(query: &Query, environment: &Environment<'_>) -> SqlResult<Plan> {
    Err(crate::error::SqlError::internal("stub"))
}
pub fn bind_arguments(
    arguments: &[Expression],
    types: &[SqlType],
    environment: &Environment<'_>,
) -> SqlResult<Vec<Expr>> {
    Err(crate::error::SqlError::internal("stub"))
}
