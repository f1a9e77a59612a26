//! Which keys a scan reads: the spans of an index with their values filled in.

use bytes::Bytes;
use sql_catalog::descriptor::{IndexDescriptor, TableDescriptor};
use sql_plan::IndexSpan;
use sql_values::error::SqlResult;
use sql_values::types::Datum;

use crate::context::Run;
use crate::store;

/// A part of an index, as keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// One key that may be there.
    Point(Bytes),
    /// `[start, end)`, not empty.
    Span(Bytes, Bytes),
}

/// The keys of the spans, in their order; of no span, all of the index.
pub(crate) async fn keys(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    spans: &[IndexSpan],
    run: &mut Run<'_>,
) -> SqlResult<Vec<Keys>> {
    let mut found = Vec::with_capacity(spans.len().max(1));
    if spans.is_empty() {
        found.extend(span(table, index, &[], None, None)?);
    }
    for IndexSpan { equal, lower, upper, not_null } in spans {
        let equal = run.eval_all(equal, &[]).await?;
        let mut bounds = [None, None];
        for (bound, given) in bounds.iter_mut().zip([lower, upper]) {
            if let Some((expr, inclusive)) = given {
                *bound = Some((run.eval(expr, &[]).await?, *inclusive));
            }
        }
        let [lower, upper] = &bounds;
        if is_point(index, &equal) && lower.is_none() && upper.is_none() {
            if !equal.iter().any(Datum::is_null) {
                found.push(Keys::Point(store::point_key(table, index, &equal)?));
            }
        } else if *not_null && lower.is_none() && upper.is_none() {
            let span = store::not_null_span(table, index, &equal)?;
            found.extend(span.map(|span| Keys::Span(span.start, span.end)));
        } else {
            found.extend(span(table, index, &equal, lower.as_ref(), upper.as_ref())?);
        }
    }
    Ok(found)
}

/// At most one entry has these values, if none is NULL.
fn is_point(index: &IndexDescriptor, equal: &[Datum]) -> bool {
    index.unique && equal.len() == index.key.len()
}

fn span(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    equal: &[Datum],
    lower: Option<&(Datum, bool)>,
    upper: Option<&(Datum, bool)>,
) -> SqlResult<Option<Keys>> {
    let lower = lower.map(|(value, inclusive)| (value, *inclusive));
    let upper = upper.map(|(value, inclusive)| (value, *inclusive));
    let found = store::bounded_span(table, index, equal, lower, upper)?;
    Ok(found.map(|span| Keys::Span(span.start, span.end)))
}
