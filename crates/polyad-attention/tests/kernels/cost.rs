//! Cost follows what is visible: scores that are computed, those masked in visited tiles included, against tuples that
//! are visible, forward and backward.

use crate::support::{Attended, Case, Gradient, Random};
use polyad_attention::{Problem, ScoreForm};
use polyad_simd::Level;

/// Tuples that some query sees, all heads and batch entries together.
fn visible(problem: &Problem) -> f64 {
    let of_query = |entry: usize, query: usize| -> f64 {
        let axes = 0..problem.keys.len();
        axes.map(|axis| {
            let (low, high) = problem.visible(axis, query);
            high.min(problem.length(entry, axis)).saturating_sub(low) as f64
        })
        .product()
    };
    let of_entry = |entry: usize| (0..problem.queries).map(|query| of_query(entry, query)).sum::<f64>();
    (0..problem.batch).map(of_entry).sum::<f64>() * problem.heads as f64
}

/// Scores that forward and backward compute for each visible tuple.
fn ratios(problem: Problem, random: &mut Random) -> [f64; 2] {
    let case = Case::of(problem, random);
    let attended = Attended::of(&case, Level::best());
    let gradient = Gradient::of(&case, &attended.out, &attended.lse, Level::best());
    let visible = visible(&case.problem);
    [attended.work.scores as f64 / visible, gradient.work.scores as f64 / visible]
}

/// `n` queries and keys of a few features.
fn of(order: usize, n: usize) -> Problem {
    Problem { width: 3, value_width: 2, ..Problem::new(order, n, 1, 0.5) }
}

#[test]
fn dense_problems_cost_their_tuples() {
    let mut random = Random(41);
    // Axes of whole vectors of keys; where they are not, the last vector of each row is masked in part.
    let heads = |heads, key_heads, problem| Problem { heads, key_heads, batch: 2, ..problem };
    for problem in [heads(16, 4, of(2, 96)), of(3, 256), of(4, 32), heads(3, 1, of(3, 48))] {
        assert_eq!(ratios(problem, &mut random), [1.0, 1.0]);
    }
    let ratios = ratios(Problem { keys: vec![50, 65], ..of(3, 48) }, &mut random);
    assert_eq!(ratios, [80.0 / 65.0; 2]);
}

#[test]
fn masked_tuples_cost_nothing_but_at_the_edges_of_tiles() {
    let mut random = Random(42);
    let n = 512;
    let windows = |windows: &[usize]| windows.iter().map(|window| Some(*window)).collect::<Vec<_>>();
    // With each the most that forward and backward may compute of what is visible. On the inner axis a block's 24 queries
    // (48 backward) go as far as the last of them, to whole vectors of 16, from the beginning of a group of 64.
    let cases = [
        // One head is split into parts of the inner axis, which begin within groups: 32 more on the average.
        ("causal pairs", Problem { causal: true, ..of(2, n) }, [1.25, 1.25]),
        // The later queries see most: 3/4 n on the inner axis, weighted by what they see on the outer one.
        ("causal triples", Problem { causal: true, ..of(3, n) }, [1.06, 1.08]),
        ("causal tuples of four", Problem { causal: true, ..of(4, 48) }, [1.3, 1.4]),
        // 128 of the inner axis; a token of the outer one is seen by 16 queries, and rows of two of them share a batch.
        ("windows", Problem { causal: true, windows: windows(&[128, 16]), ..of(3, n) }, [1.4, 1.4]),
        ("the wider window last", Problem { causal: true, windows: windows(&[16, 128]), ..of(3, n) }, [1.4, 1.4]),
        ("windows and later keys", Problem { windows: windows(&[64, 16]), ..of(3, 128) }, [1.5, 1.5]),
        ("lengths", Problem { lengths: vec![vec![64, 96]], ..of(3, n) }, [1.0, 1.0]),
        ("more keys than queries", Problem { causal: true, queries: 64, ..of(3, n) }, [1.05, 1.06]),
        // Blocks of 48 queries, forward too, on both axes.
        ("causal Strassen", Problem { causal: true, form: ScoreForm::Strassen, ..of(3, n) }, [1.2, 1.2]),
        ("causal tree", Problem { causal: true, form: ScoreForm::Tree, ..of(3, 192) }, [1.15, 1.2]),
    ];
    for (name, problem, most) in cases {
        let found = ratios(problem, &mut random);
        let near = (0..2).all(|side| (1.0..=most[side]).contains(&found[side]));
        assert!(near, "{name}: {found:?} of what is visible, at most {most:?}");
    }
}
