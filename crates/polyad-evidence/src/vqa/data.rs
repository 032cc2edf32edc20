//! Questions about pictures, as easy-VQA keeps them.
//!
//! ```text
//! DIR/answers.txt              one answer a line
//! DIR/{train,test}/questions.json   [[question, answer, number of the picture], ..]
//! DIR/{train,test}/images/NUMBER.png
//! ```

use crate::error::{Error, Result};
use polyad_shapes::job::Job;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Answers that say whether, not what.
const YES_NO: [&str; 2] = ["yes", "no"];
/// The most pixels of all pictures of a part together.
const MOST_PIXELS: usize = 1 << 28;

/// A question about a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Numbers of its words.
    pub words: Vec<usize>,
    /// Number of its answer.
    pub answer: usize,
    /// Place of its picture among those of its part.
    pub picture: usize,
}

/// Pictures and what is asked of them.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// Red, green, blue, each `[side][side]`, from 0 to 255.
    pub pictures: Vec<Vec<u8>>,
    /// In the order of the file.
    pub questions: Vec<Question>,
}

/// All that is asked.
#[derive(Debug, Clone)]
pub struct Questions {
    /// Words of training questions, sorted; a word that only tests know counts as none.
    pub words: Vec<String>,
    /// As the file orders them.
    pub answers: Vec<String>,
    /// Side of a picture.
    pub side: usize,
    /// What is learnt from.
    pub train: Part,
    /// What tests.
    pub test: Part,
}

type Raw = Vec<(String, String, usize)>;

impl Questions {
    /// Reads a folder.
    ///
    /// # Errors
    /// Where a file is missing or does not read, an answer is not in the list, or pictures differ in size.
    pub fn read(folder: &Path, job: Job<'_>) -> Result<Self> {
        let path = folder.join("answers.txt");
        let text = std::fs::read_to_string(&path).map_err(|why| Error::file(&path, why))?;
        let answers: Vec<String> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        let [train, test] = ["train", "test"].map(|part| raw(&folder.join(part)));
        let (train, test) = (train?, test?);
        let words: BTreeSet<&str> = train.iter().flat_map(|(question, ..)| words_of(question)).collect();
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        job.reporter().begin("pictures", 0);
        let mut side = None;
        let train = part(&folder.join("train"), &train, (&words, &answers), &mut side, job)?;
        let test = part(&folder.join("test"), &test, (&words, &answers), &mut side, job)?;
        job.reporter().end();
        if train.questions.is_empty() || test.questions.is_empty() {
            return Err(Error::file(folder, "no questions to learn from, or none to test with"));
        }
        Ok(Questions { words, answers, side: side.unwrap_or_default(), train, test })
    }

    /// Whether an answer says what, not whether.
    pub fn says_what(&self, answer: usize) -> bool {
        !YES_NO.contains(&self.answers[answer].as_str())
    }
}

/// Words in lower case; marks are none.
fn words_of(question: &str) -> impl Iterator<Item = &str> {
    question.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

fn raw(folder: &Path) -> Result<Raw> {
    let path = folder.join("questions.json");
    let text = std::fs::read_to_string(&path).map_err(|why| Error::file(&path, why))?;
    let read: Raw = serde_json::from_str(&text).map_err(|why| Error::file(&path, why))?;
    Ok(read.into_iter().map(|(question, answer, picture)| (question.to_lowercase(), answer, picture)).collect())
}

fn part(
    folder: &Path,
    raw: &Raw,
    (words, answers): (&[String], &[String]),
    side: &mut Option<usize>,
    job: Job<'_>,
) -> Result<Part> {
    let numbers: BTreeSet<usize> = raw.iter().map(|(_, _, picture)| *picture).collect();
    let place: BTreeMap<usize, usize> = numbers.iter().enumerate().map(|(place, number)| (*number, place)).collect();
    let number = |words: &[String], word: &str| words.binary_search_by(|known| known.as_str().cmp(word)).ok();
    let question = |(question, answer, picture): &(String, String, usize)| -> Result<Question> {
        let found = answers.iter().position(|known| known == answer);
        let answer = found.ok_or_else(|| Error::file(folder, format!("{answer:?} is not among the answers")))?;
        let words = words_of(question).filter_map(|word| number(words, word)).collect();
        Ok(Question { words, answer, picture: place[picture] })
    };
    let questions = raw.iter().map(question).collect::<Result<_>>()?;
    let pictures: Vec<(usize, Vec<u8>)> = numbers
        .into_par_iter()
        .map(|number| {
            job.check()?;
            let path = folder.join("images").join(format!("{number}.png"));
            let picture = crate::inpaint::photograph::read(&path)?;
            if picture.width() != picture.height() {
                return Err(Error::file(&path, "a picture that is no square"));
            }
            let raw = picture.as_raw();
            let planes = (0..3).flat_map(|channel| raw.iter().skip(channel).step_by(3).copied()).collect();
            Ok((picture.width() as usize, planes))
        })
        .collect::<Result<_>>()?;
    let wanted = *side.get_or_insert_with(|| pictures.first().map_or(0, |(side, _)| *side));
    if let Some((other, _)) = pictures.iter().find(|(side, _)| *side != wanted) {
        return Err(Error::file(folder, format!("pictures of {other} pixels and of {wanted}")));
    }
    if pictures.len().saturating_mul(3 * wanted * wanted) > MOST_PIXELS {
        return Err(Error::file(folder, format!("{} pictures of {wanted} pixels are too many", pictures.len())));
    }
    Ok(Part { pictures: pictures.into_iter().map(|(_, planes)| planes).collect(), questions })
}

/// The share of questions that are answered rightly by the commonest answer to the same question, all of them and those that
/// say what: what can be known without a picture.
pub fn question_only(questions: &Questions) -> [f64; 2] {
    let mut counts: BTreeMap<&[usize], Vec<usize>> = BTreeMap::new();
    for question in &questions.train.questions {
        counts.entry(&question.words).or_insert_with(|| vec![0; questions.answers.len()])[question.answer] += 1;
    }
    let guess = |question: &Question| {
        let counts = counts.get(question.words.as_slice())?;
        counts.iter().enumerate().max_by_key(|(answer, count)| (**count, usize::MAX - answer)).map(|(answer, _)| answer)
    };
    let share = |what: bool| {
        let asked: Vec<&Question> =
            questions.test.questions.iter().filter(|question| !what || questions.says_what(question.answer)).collect();
        let right = asked.iter().filter(|question| guess(question) == Some(question.answer)).count();
        right as f64 / asked.len().max(1) as f64
    };
    [share(false), share(true)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_between_marks() {
        assert_eq!(words_of("what is it, a 3-d box?").collect::<Vec<_>>(), ["what", "is", "it", "a", "3", "d", "box"]);
    }

    #[test]
    fn a_folder_is_read_and_its_faults_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let image = image::RgbImage::from_pixel(4, 4, image::Rgb([1, 2, 3]));
        for part in ["train", "test"] {
            std::fs::create_dir_all(path.join(part).join("images")).expect("a folder");
            std::fs::write(
                path.join(part).join("questions.json"),
                r#"[["Is it red?","no",7],["what color?","red",7]]"#,
            )
            .expect("writes");
            image.save(path.join(part).join("images/7.png")).expect("writes");
        }
        let read = |answers: &str| {
            std::fs::write(path.join("answers.txt"), answers).expect("writes");
            Questions::read(path, Job::silent())
        };
        let questions = read("yes\nno\nred\n").expect("reads");
        assert_eq!(questions.words, ["color", "is", "it", "red", "what"]);
        assert_eq!(questions.train.questions[0], Question { words: vec![1, 2, 3], answer: 1, picture: 0 });
        assert_eq!((questions.side, &questions.train.pictures[0][16..17]), (4, &[2u8][..]));
        assert_eq!(question_only(&questions), [1.0, 1.0]);
        assert!(!questions.says_what(0) && questions.says_what(2));
        let error = read("yes\nred\n").expect_err("an answer that is not listed").to_string();
        assert!(error.contains("\"no\""), "{error}");
        std::fs::remove_file(path.join("test/images/7.png")).expect("there");
        assert!(read("yes\nno\nred\n").is_err());
    }
}
