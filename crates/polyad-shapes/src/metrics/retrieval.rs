//! Finding again: the measures of the Princeton Shape Benchmark, from embeddings.
//!
//! A query ranks the gallery by cosine, greatest first, ties by index. With `C` the number of gallery shapes of its
//! class (itself left out), and a hit a shape of its class:
//! - `nn`: the first is a hit. `first_tier`, `second_tier`: hits among the first C, and 2C, divided by C.
//! - `map`: mean over the C hits of the precision at each.
//! - `ndcg`: `hit_1 + sum_{r >= 2} hit_r / log2 r` over the whole list, divided by the same sum for a perfect one.
//! - `p_at_n`, `r_at_n`, `f1_at_n`: precision, recall (over C) and their harmonic mean of the set of gallery shapes whose
//!   predicted class is the query's predicted class; all three are 0 where that set is empty.
//!
//! Means are over the queries with C > 0: for the others no measure is defined, and the tool of the benchmark leaves
//! them out as well.
//!
//! Source: `psbTable.c` of the Princeton Shape Benchmark (Shilane et al., 2004).

use crate::error::{Error, Result};
use rayon::prelude::*;
use serde::Serialize;

/// Recall levels of the precision-recall curve: 0, 0.05, .. 1.
pub const LEVELS: usize = 21;

/// Shapes to be ranked, or to rank for: all slices are of one length.
#[derive(Debug, Clone, Copy)]
pub struct Shapes<'a> {
    /// Embeddings, all of one width; need not be normalised.
    pub embeddings: &'a [&'a [f32]],
    /// Their classes, as any numbers.
    pub labels: &'a [usize],
    /// The classes that a model gives them, if there is one.
    pub predicted: Option<&'a [usize]>,
}

/// Means over the queries. As JSON the keys of `evaluate`'s `retrieval`; what is not defined is null.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retrieval {
    /// Nearest neighbour.
    pub nn: Option<f64>,
    /// First tier.
    pub first_tier: Option<f64>,
    /// Second tier.
    pub second_tier: Option<f64>,
    /// Mean average precision.
    pub map: Option<f64>,
    /// Normalised discounted cumulative gain.
    pub ndcg: Option<f64>,
    /// Precision of the shapes of the predicted class.
    pub p_at_n: Option<f64>,
    /// Recall of the shapes of the predicted class.
    pub r_at_n: Option<f64>,
    /// Their harmonic mean, per query.
    pub f1_at_n: Option<f64>,
    /// The queries that count: those whose class is in the gallery.
    pub queries: usize,
    /// Precision at recall `i / 20`, interpolated: the best precision at that recall or a greater one.
    #[serde(skip)]
    pub precision: Option<[f64; LEVELS]>,
}

/// Ranks one set of shapes for another, such as the train split for the test split.
///
/// Time: queries times gallery times width, on all threads; memory: one list a thread.
///
/// # Errors
/// [`Error::Invalid`] if lengths or widths differ, or an embedding has a number that is not finite.
pub fn evaluate(queries: Shapes, gallery: Shapes) -> Result<Retrieval> {
    run(queries, gallery, false)
}

/// Ranks all shapes for each of them, itself left out. Predicted classes are not looked at.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_all(shapes: Shapes) -> Result<Retrieval> {
    let shapes = Shapes { predicted: None, ..shapes };
    run(shapes, shapes, true)
}

/// The gallery's indices and cosines, nearest first, ties by index; `without` is left out.
///
/// # Errors
/// As [`evaluate`].
pub fn rank(query: &[f32], gallery: &[&[f32]], without: Option<usize>) -> Result<Vec<(usize, f64)>> {
    check_embeddings(&[query], query.len())?;
    check_embeddings(gallery, query.len())?;
    let gallery: Vec<_> = gallery.iter().map(|e| normalised(e)).collect();
    Ok(sorted(&normalised(query), &gallery, without))
}

/// The measures of one query.
struct OfQuery {
    nn: f64,
    tiers: [f64; 2],
    ap: f64,
    ndcg: f64,
    at_n: Option<[f64; 3]>,
    precision: [f64; LEVELS],
}

fn run(queries: Shapes, gallery: Shapes, same: bool) -> Result<Retrieval> {
    let width = gallery.embeddings.first().map_or(0, |e| e.len());
    check(queries, width)?;
    check(gallery, width)?;
    let unit: Vec<_> = gallery.embeddings.par_iter().map(|e| normalised(e)).collect();
    let one = |q: usize| {
        let own = same.then_some(q);
        let list = sorted(&normalised(queries.embeddings[q]), &unit, own);
        let hits: Vec<bool> = list.iter().map(|(g, _)| gallery.labels[*g] == queries.labels[q]).collect();
        let at_n = || {
            let (mine, theirs) = (queries.predicted?[q], gallery.predicted?);
            let found = theirs.iter().zip(gallery.labels).filter(|(p, _)| **p == mine);
            let found: Vec<bool> = found.map(|(_, label)| *label == queries.labels[q]).collect();
            Some(of_set(&found, count(&hits)))
        };
        (count(&hits) > 0.0).then(|| of_list(&hits, at_n()))
    };
    // Collected in the order of the queries: sums do not depend on the number of threads.
    let each: Vec<OfQuery> =
        (0..queries.labels.len()).into_par_iter().map(one).collect::<Vec<_>>().into_iter().flatten().collect();
    let n = each.len() as f64;
    let mean = |value: &dyn Fn(&OfQuery) -> f64| (n > 0.0).then(|| each.iter().map(value).sum::<f64>() / n);
    let at_n = |i: usize| {
        let sum = each.iter().map(|m| m.at_n.map(|values| values[i])).sum::<Option<f64>>()?;
        (n > 0.0).then(|| sum / n)
    };
    let level = |i: usize| each.iter().map(|m| m.precision[i]).sum::<f64>() / n;
    Ok(Retrieval {
        nn: mean(&|m| m.nn),
        first_tier: mean(&|m| m.tiers[0]),
        second_tier: mean(&|m| m.tiers[1]),
        map: mean(&|m| m.ap),
        ndcg: mean(&|m| m.ndcg),
        p_at_n: at_n(0),
        r_at_n: at_n(1),
        f1_at_n: at_n(2),
        queries: each.len(),
        precision: (n > 0.0).then(|| std::array::from_fn(level)),
    })
}

/// The measures of a ranked list with at least one hit.
fn of_list(hits: &[bool], at_n: Option<[f64; 3]>) -> OfQuery {
    let ranks: Vec<usize> = hits.iter().zip(1..).filter_map(|(hit, rank)| hit.then_some(rank)).collect();
    let c = ranks.len();
    let tier = |depth: usize| ranks.iter().filter(|rank| **rank <= depth).count() as f64 / c as f64;
    let precisions: Vec<f64> = ranks.iter().zip(1..).map(|(rank, found)| f64::from(found) / *rank as f64).collect();
    let gain = |rank: usize| if rank == 1 { 1.0 } else { 1.0 / (rank as f64).log2() };
    let gained: f64 = ranks.iter().map(|rank| gain(*rank)).sum();
    let ideal: f64 = (1..=c).map(gain).sum();
    let mut precision = [0.0; LEVELS];
    for (i, value) in precision.iter_mut().enumerate() {
        // The first hit with which recall reaches i / 20.
        let first = (i * c).div_ceil(LEVELS - 1).saturating_sub(1);
        *value = precisions[first..].iter().copied().fold(0.0, f64::max);
    }
    OfQuery {
        nn: if ranks.first() == Some(&1) { 1.0 } else { 0.0 },
        tiers: [tier(c), tier(2 * c)],
        ap: precisions.iter().sum::<f64>() / c as f64,
        ndcg: gained / ideal,
        at_n,
        precision,
    }
}

/// Precision, recall and F1 of a set.
fn of_set(found: &[bool], relevant: f64) -> [f64; 3] {
    let hits = count(found);
    if hits == 0.0 {
        return [0.0; 3];
    }
    let (p, r) = (hits / found.len() as f64, hits / relevant);
    [p, r, 2.0 * p * r / (p + r)]
}

fn count(hits: &[bool]) -> f64 {
    hits.iter().filter(|hit| **hit).count() as f64
}

fn sorted(query: &[f64], gallery: &[Vec<f64>], without: Option<usize>) -> Vec<(usize, f64)> {
    let cosine = |e: &Vec<f64>| e.iter().zip(query).map(|(a, b)| a * b).sum::<f64>();
    let others = gallery.iter().enumerate().filter(|(g, _)| Some(*g) != without);
    let mut list: Vec<_> = others.map(|(g, e)| (g, cosine(e))).collect();
    list.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    list
}

/// The embedding at length 1; zero stays zero, at cosine 0 to everything.
fn normalised(embedding: &[f32]) -> Vec<f64> {
    let length = embedding.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    embedding.iter().map(|x| f64::from(*x) * scale).collect()
}

fn check(shapes: Shapes, width: usize) -> Result<()> {
    let n = shapes.embeddings.len();
    let others = [Some(shapes.labels.len()), shapes.predicted.map(<[usize]>::len)];
    if let Some(m) = others.into_iter().flatten().find(|m| *m != n) {
        return Err(Error::Invalid(format!("{n} embeddings but {m} labels")));
    }
    check_embeddings(shapes.embeddings, width)
}

fn check_embeddings(embeddings: &[&[f32]], width: usize) -> Result<()> {
    for (i, embedding) in embeddings.iter().enumerate() {
        if embedding.len() != width {
            return Err(Error::Invalid(format!("embedding {i} has {} numbers, another {width}", embedding.len())));
        }
        if embedding.iter().any(|x| !x.is_finite()) {
            return Err(Error::Invalid(format!("embedding {i} has a number that is not finite")));
        }
    }
    Ok(())
}
