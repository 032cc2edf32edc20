//! Retrieval and classification measures on lists small enough to work out by hand.

use polyad_shapes::metrics::classification::{Confusion, wilson};
use polyad_shapes::metrics::retrieval::{LEVELS, Retrieval, Shapes, evaluate, evaluate_all, rank};
use proptest::prelude::*;
use serde_json::{json, to_value};

/// Unit vectors in the plane at these angles in degrees: the nearer the angle, the greater the cosine.
fn at_angles(degrees: &[f32]) -> Vec<Vec<f32>> {
    degrees.iter().map(|a| vec![a.to_radians().cos(), a.to_radians().sin()]).collect()
}

fn slices(embeddings: &[Vec<f32>]) -> Vec<&[f32]> {
    embeddings.iter().map(Vec::as_slice).collect()
}

fn one_query(degrees: &[f32], labels: &[usize], predicted: Option<(usize, &[usize])>) -> Retrieval {
    let (query, gallery) = (at_angles(&[0.0]), at_angles(degrees));
    let own = [predicted.map_or(0, |p| p.0)];
    let queries = Shapes { embeddings: &slices(&query), labels: &[1], predicted: predicted.map(|_| own.as_slice()) };
    evaluate(queries, Shapes { embeddings: &slices(&gallery), labels, predicted: predicted.map(|p| p.1) }).unwrap()
}

#[track_caller]
fn assert_close(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    assert!((found - expected).abs() < 1e-12, "found {found}, expected {expected}");
}

#[test]
fn a_list_by_hand() {
    // By angle: miss, hit, miss, miss, hit, hit; so C = 3 and the hits are at ranks 2, 5, 6.
    let predicted = [1, 1, 2, 1, 1, 2];
    let found = one_query(&[50., 10., 60., 40., 20., 30.], &[1, 0, 1, 0, 1, 0], Some((1, &predicted)));
    assert_close(found.nn, 0.0);
    assert_close(found.first_tier, 1. / 3.);
    assert_close(found.second_tier, 1.0);
    assert_close(found.map, (1. / 2. + 2. / 5. + 3. / 6.) / 3.);
    let gain = |rank: f64| 1. / rank.log2();
    assert_close(found.ndcg, (gain(2.) + gain(5.) + gain(6.)) / (1. + gain(2.) + gain(3.)));
    // Predicted to be of class 1: gallery 0, 1, 3, 4, of which 0 and 4 are.
    assert_close(found.p_at_n, 0.5);
    assert_close(found.r_at_n, 2. / 3.);
    assert_close(found.f1_at_n, 2. * 0.5 * (2. / 3.) / (0.5 + 2. / 3.));
    let precision = found.precision.unwrap();
    // Best precision from the first, the second and the third hit on.
    assert_eq!((precision[0], precision[6], precision[7], precision[14], precision[20]), (0.5, 0.5, 0.5, 0.5, 0.5));
}

#[test]
fn the_curve_is_the_best_precision_at_that_recall_or_a_greater_one() {
    // Hits at ranks 1 and 4: precision 1, then 1/2.
    let precision = one_query(&[1., 2., 3., 4.], &[1, 0, 0, 1], None).precision.unwrap();
    assert_eq!(precision[..=10], [1.0; 11]);
    assert_eq!(precision[11..], [0.5; LEVELS - 11]);
}

#[test]
fn a_perfect_ranking_is_1_throughout_and_the_worst_is_what_chance_leaves() {
    let best = one_query(&[1., 2., 3., 4.], &[1, 1, 0, 0], Some((7, &[7, 7, 0, 0])));
    for value in [best.nn, best.first_tier, best.second_tier, best.map, best.ndcg, best.p_at_n, best.r_at_n] {
        assert_close(value, 1.0);
    }
    let worst = one_query(&[1., 2., 3., 4., 5., 6.], &[0, 0, 0, 0, 1, 1], Some((0, &[0, 0, 0, 0, 1, 1])));
    for value in [worst.nn, worst.first_tier, worst.second_tier, worst.p_at_n, worst.r_at_n, worst.f1_at_n] {
        assert_close(value, 0.0);
    }
    assert_close(worst.map, (1. / 5. + 2. / 6.) / 2.);
    assert!(worst.ndcg.unwrap() > 0.0);
}

#[test]
fn ties_go_by_index() {
    assert_close(one_query(&[9., 9., 9.], &[0, 1, 0], None).map, 1. / 2.);
    assert_close(one_query(&[9., 9., 9.], &[1, 0, 0], None).map, 1.0);
    let gallery = [vec![2.0, 0.0], vec![0.0, 0.0], vec![8.0, 0.0], vec![-1.0, 0.0]];
    let order: Vec<_> = rank(&[3.0, 0.0], &slices(&gallery), None).unwrap();
    assert_eq!(order, [(0, 1.0), (2, 1.0), (1, 0.0), (3, -1.0)]);
    assert_eq!(rank(&[3.0, 0.0], &slices(&gallery), Some(0)).unwrap()[0], (2, 1.0));
}

#[test]
fn a_query_does_not_find_itself_and_singletons_do_not_count() {
    let (embeddings, labels) = (at_angles(&[0., 10., 25., 70.]), [5, 9, 5, 7]);
    let shapes = Shapes { embeddings: &slices(&embeddings), labels: &labels, predicted: Some(&labels) };
    let found = evaluate_all(shapes).unwrap();
    // Only the two of class 5 count, C = 1 each: the one at 0 finds 10, 25, 70; the one at 25 finds 10, 0, 70.
    assert_eq!(found.queries, 2);
    assert_close(found.nn, 0.0);
    assert_close(found.first_tier, 0.0);
    assert_close(found.second_tier, 1.0);
    assert_close(found.map, 0.5);
    assert_close(found.ndcg, 1.0);
    assert_eq!((found.p_at_n, found.r_at_n, found.f1_at_n), (None, None, None));
}

#[test]
fn nothing_to_measure_is_null() {
    let empty = Shapes { embeddings: &[], labels: &[], predicted: None };
    let found = to_value(evaluate_all(empty).unwrap()).unwrap();
    for key in ["nn", "first_tier", "second_tier", "map", "ndcg", "p_at_n", "r_at_n", "f1_at_n"] {
        assert_eq!(found.get(key), Some(&json!(null)), "{key}");
    }
}

#[test]
fn embeddings_that_do_not_match_are_refused() {
    let message = |embeddings: &[&[f32]], labels: &[usize]| {
        evaluate_all(Shapes { embeddings, labels, predicted: None }).unwrap_err().to_string()
    };
    assert_eq!(message(&[&[1.0], &[1.0]], &[0]), "2 embeddings but 1 labels");
    assert_eq!(message(&[&[1.0], &[1.0, 2.0]], &[0, 0]), "embedding 1 has 2 numbers, another 1");
    assert_eq!(message(&[&[1.0], &[f32::NAN]], &[0, 0]), "embedding 1 has a number that is not finite");
}

proptest! {
    #[test]
    fn measures_lie_between_0_and_1_and_do_not_depend_on_scale(
        points in prop::collection::vec((prop::collection::vec(-1f32..1.0, 3), 0usize..4), 2..40),
    ) {
        let (embeddings, labels): (Vec<_>, Vec<_>) = points.into_iter().unzip();
        let found = evaluate_all(Shapes { embeddings: &slices(&embeddings), labels: &labels, predicted: None }).unwrap();
        for value in [found.nn, found.first_tier, found.second_tier, found.map, found.ndcg].into_iter().flatten() {
            prop_assert!((0.0..=1.0 + 1e-12).contains(&value));
        }
        prop_assert!(found.first_tier <= found.second_tier);
        let doubled: Vec<Vec<f32>> = embeddings.iter().map(|e| e.iter().map(|x| 2.0 * x).collect()).collect();
        let shapes = Shapes { embeddings: &slices(&doubled), labels: &labels, predicted: None };
        prop_assert_eq!(evaluate_all(shapes).unwrap(), found);
    }
}

#[test]
fn accuracies_by_hand() {
    let classes = ["a", "b", "c"].map(String::from).to_vec();
    let confusion = Confusion::of(classes.clone(), &[0, 0, 0, 0, 1, 1], &[0, 0, 0, 1, 1, 2]).unwrap();
    assert_eq!(confusion.counts, [[3, 1, 0], [0, 1, 1], [0, 0, 0]]);
    assert_close(confusion.instance_accuracy(), 4. / 6.);
    assert_close(confusion.class_accuracy(), (3. / 4. + 1. / 2.) / 2.);
    let json = to_value(&confusion).unwrap();
    assert_eq!(json, json!({"classes": ["a", "b", "c"], "counts": [[3, 1, 0], [0, 1, 1], [0, 0, 0]]}));
    assert!(Confusion::of(classes.clone(), &[0], &[3]).unwrap_err().to_string().contains("class 3 of 3"));
    assert!(Confusion::of(classes.clone(), &[0], &[]).is_err());
    assert_eq!(Confusion::new(classes).class_accuracy(), None);
}

#[test]
fn wilson_intervals_agree_with_published_values() {
    // R: prop.test(8, 10, correct = FALSE) and prop.test(10, 10, correct = FALSE).
    let [low, high] = wilson(8, 10).unwrap();
    assert!((low - 0.4901625).abs() < 1e-6 && (high - 0.9433178).abs() < 1e-6, "{low} {high}");
    let [low, high] = wilson(10, 10).unwrap();
    assert!((low - 0.7224672).abs() < 1e-6 && high == 1.0, "{low} {high}");
    assert_eq!(wilson(0, 10).unwrap()[0], 0.0);
    assert_eq!(wilson(0, 0), None);
}
