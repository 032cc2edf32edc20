//! The numbers of the rows, written or packed.

use super::header::{Element, Scalar};
use crate::error::{At, Error, Result};
use crate::read::text::{Lines, not_a, number, words};

/// Hands out the numbers of the rows, one after the other.
pub trait Values {
    /// The fewest bytes that a row of the table takes.
    fn least_row(&self, element: &Element) -> usize;
    /// Bytes that are left (one more for a last line without an end).
    fn room(&self) -> usize;
    /// Goes to the next row, and says where it is.
    fn begin_row(&mut self, element: &Element) -> Result<At>;
    /// The next number of the row.
    fn next(&mut self, scalar: Scalar) -> Result<f64>;
}

/// Rows as lines of text. Words beyond the last property are ignored.
pub struct Written<'a> {
    lines: Lines<'a>,
    before: usize,
    line: &'a [u8],
}

impl<'a> Written<'a> {
    /// `before`: lines of the header.
    pub fn new(body: &'a [u8], before: usize) -> Self {
        Written { lines: Lines::new(body), before, line: b"" }
    }
}

impl Values for Written<'_> {
    fn least_row(&self, element: &Element) -> usize {
        2 * element.properties.len()
    }

    fn room(&self) -> usize {
        self.lines.remaining() + 1
    }

    fn begin_row(&mut self, element: &Element) -> Result<At> {
        for (number, line) in self.lines.by_ref() {
            if words(line).next().is_some() {
                self.line = line;
                return Ok(At::Line(self.before + number));
            }
        }
        let problem = format!("the file ends before the {} rows of `{}` do", element.rows, element.name);
        Err(Error::malformed(At::Line(self.before + self.lines.number()), problem))
    }

    fn next(&mut self, _: Scalar) -> Result<f64> {
        let line_number = self.before + self.lines.number();
        let start = self.line.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(self.line.len());
        let rest = &self.line[start..];
        let (word, rest) = rest.split_at(rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len()));
        self.line = rest;
        if word.is_empty() {
            return Err(Error::malformed(At::Line(line_number), "the row has fewer numbers than its properties need"));
        }
        number(word).ok_or_else(|| not_a(line_number, word, "a number"))
    }
}

/// Rows as packed numbers, little-endian or big-endian.
pub struct Packed<'a, const LITTLE: bool> {
    bytes: &'a [u8],
    next: usize,
}

impl<'a, const LITTLE: bool> Packed<'a, LITTLE> {
    /// The whole file, and where its rows begin.
    pub fn new(bytes: &'a [u8], body: usize) -> Self {
        Packed { bytes, next: body }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let found = self.bytes.get(self.next..).and_then(|rest| rest.first_chunk::<N>());
        let mut chunk = *found.ok_or_else(|| Error::malformed(At::Byte(self.next), "the file ends inside a row"))?;
        self.next += N;
        if !LITTLE {
            chunk.reverse();
        }
        Ok(chunk)
    }
}

impl<const LITTLE: bool> Values for Packed<'_, LITTLE> {
    fn least_row(&self, element: &Element) -> usize {
        element.properties.iter().map(|p| p.list.unwrap_or(p.scalar).size()).sum()
    }

    fn room(&self) -> usize {
        self.bytes.len() - self.next
    }

    fn begin_row(&mut self, _: &Element) -> Result<At> {
        Ok(At::Byte(self.next))
    }

    fn next(&mut self, scalar: Scalar) -> Result<f64> {
        Ok(match scalar {
            Scalar::I8 => i8::from_le_bytes(self.take()?).into(),
            Scalar::U8 => u8::from_le_bytes(self.take()?).into(),
            Scalar::I16 => i16::from_le_bytes(self.take()?).into(),
            Scalar::U16 => u16::from_le_bytes(self.take()?).into(),
            Scalar::I32 => i32::from_le_bytes(self.take()?).into(),
            Scalar::U32 => u32::from_le_bytes(self.take()?).into(),
            Scalar::F32 => f32::from_le_bytes(self.take()?).into(),
            Scalar::F64 => f64::from_le_bytes(self.take()?),
        })
    }
}
