//! What a shape is, by what its neighbours are.

use super::Neighbour;

/// The classes of neighbours with the share of those that have one, the greatest first; of equal shares the one whose
/// neighbours are nearer in sum. `class` tells a neighbour's class by its path; who has none does not vote.
pub fn vote<'a>(neighbours: &'a [Neighbour], class: impl Fn(&'a str) -> Option<&'a str>) -> Vec<(String, f32)> {
    let mut votes: Vec<(&str, usize, f32)> = Vec::new();
    for neighbour in neighbours {
        let Some(class) = class(&neighbour.path) else { continue };
        match votes.iter_mut().find(|(known, ..)| *known == class) {
            Some((_, count, nearness)) => {
                *count += 1;
                *nearness += neighbour.score;
            }
            None => votes.push((class, 1, neighbour.score)),
        }
    }
    // Stable: of those alike in both, the one that came first has the nearest neighbour.
    votes.sort_by(|a, b| b.1.cmp(&a.1).then(b.2.total_cmp(&a.2)));
    let total: usize = votes.iter().map(|(_, count, _)| count).sum();
    votes.into_iter().map(|(class, count, _)| (class.to_owned(), count as f32 / total as f32)).collect()
}

/// The class of a path: the first folder below the longest of these roots that it lies in.
pub fn class_below<'a>(path: &'a str, roots: &[String]) -> Option<&'a str> {
    let below = |root: &String| path.strip_prefix(root.trim_end_matches('/'))?.strip_prefix('/');
    let rest = roots.iter().filter_map(below).min_by_key(|rest| rest.len())?;
    rest.split_once('/').map(|(class, _)| class).filter(|class| !class.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbour(path: &str, score: f32) -> Neighbour {
        Neighbour { path: path.into(), score }
    }

    #[test]
    fn the_most_votes_win_then_the_nearest() {
        let roots = ["parts/".to_owned()];
        let class = |path| class_below(path, &roots);
        let found = [
            neighbour("parts/gear/1.stl", 0.9),
            neighbour("parts/nut/train/1.stl", 0.8),
            neighbour("parts/loose.stl", 0.8),
            neighbour("parts/nut/test/2.stl", 0.7),
            neighbour("parts/bolt/1.stl", 0.95),
        ];
        let expected = [("nut".to_owned(), 0.5), ("bolt".to_owned(), 0.25), ("gear".to_owned(), 0.25)];
        assert_eq!(vote(&found, class), expected);
        assert!(vote(&found[2..3], class).is_empty());
        assert!(vote(&[], class).is_empty());
    }

    #[test]
    fn a_class_is_the_first_folder_below_its_root() {
        let roots = ["a".to_owned(), "a/b".to_owned(), "c.zip".to_owned()];
        assert_eq!(class_below("a/gear/1.stl", &roots), Some("gear"));
        assert_eq!(class_below("a/b/gear/1.stl", &roots), Some("gear"));
        assert_eq!(class_below("c.zip/nut/2.stl", &roots), Some("nut"));
        assert_eq!(class_below("ab/gear/1.stl", &roots), None);
        assert_eq!(class_below("a/1.stl", &roots), None);
    }
}
