//! Which keys a scan reads: the spans of an index with their values filled in.

use bytes::Bytes;

use crate::catalog::descriptor::{IndexDescriptor, TableDescriptor};
use crate::error::SqlResult;
use crate::exec::context::Run;
use crate::exec::store;
use crate::plan::IndexSpan;
use crate::types::Datum;

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
    for IndexSpan { equal, lower, upper } in spans {
        let equal = run.eval_all(equal, &[]).await?;
        if equal.iter().any(Datum::is_null) {
            continue;
        }
        let mut bounds = [None, None];
        let mut empty = false;
        for (bound, given) in bounds.iter_mut().zip([lower, upper]) {
            if let Some((expr, inclusive)) = given {
                let value = run.eval(expr, &[]).await?;
                // Nothing is less or more than NULL.
                empty |= value.is_null();
                *bound = Some((value, *inclusive));
            }
        }
        let [lower, upper] = bounds;
        if empty {
            continue;
        }
        if is_point(index, &equal) && lower.is_none() && upper.is_none() {
            found.push(Keys::Point(store::unique_key(table, index, &equal)?));
        } else {
            found.extend(span(table, index, &equal, lower, upper)?);
        }
    }
    Ok(found)
}

/// At most one entry has these values, none of which is NULL.
fn is_point(index: &IndexDescriptor, equal: &[Datum]) -> bool {
    index.unique && equal.len() == index.key.len()
}

fn span(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    equal: &[Datum],
    lower: Option<(Datum, bool)>,
    upper: Option<(Datum, bool)>,
) -> SqlResult<Option<Keys>> {
    let (start, end) = store::span(table, index, equal, lower, upper)?;
    Ok((start < end).then_some(Keys::Span(start, end)))
}
