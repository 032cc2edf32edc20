//! Line plots as SVG text: axes with ticks, lines with a legend beside them, borders across.
//!
//! What was measured is a filled mark on a solid line, what was not a hollow one on a dashed line.

use serde_json::{Value, json};
use std::fmt::Write;

/// How numbers lie on an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// From 0.
    Linear,
    /// Ticks at whole numbers.
    Whole,
    /// Ticks at powers of two.
    Twos,
    /// Ticks at powers of ten.
    Tens,
}

#[derive(Debug, Clone)]
pub struct Axis {
    pub label: &'static str,
    pub scale: Scale,
}

#[derive(Debug, Clone, Copy)]
pub struct Point {
    pub x: f64,
    pub y: f64,
    pub measured: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Line {
    pub label: String,
    pub points: Vec<Point>,
}

impl Line {
    pub fn new(label: impl Into<String>) -> Line {
        Line { label: label.into(), points: Vec::new() }
    }

    pub fn measured(&mut self, x: f64, y: f64) {
        self.points.push(Point { x, y, measured: true });
    }

    pub fn hollow(&mut self, x: f64, y: f64) {
        self.points.push(Point { x, y, measured: false });
    }
}

/// A straight line across the plot.
#[derive(Debug, Clone)]
pub struct Border {
    pub label: String,
    pub vertical: bool,
    pub at: f64,
}

#[derive(Debug, Clone)]
pub struct Plot {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub lines: Vec<Line>,
    pub borders: Vec<Border>,
    /// What hollow marks are, where there are some.
    pub hollow: &'static str,
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 78.0;
/// Room for the legend.
const RIGHT: f64 = 250.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 58.0;
/// Told apart by those who see no red or no green, too.
const COLOURS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#555555", "#7a3e9d"];

/// An axis with its ends, and the pixels that they are at.
struct Ruler {
    scale: Scale,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Ruler {
    fn new(scale: Scale, numbers: impl Iterator<Item = f64>, from: f64, to: f64) -> Ruler {
        let on = |x: &f64| x.is_finite() && (*x > 0.0 || !logarithmic(scale));
        let (low, high) =
            numbers.filter(on).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        let (low, high) = if low <= high { (low, high) } else { (1.0, 2.0) };
        let (low, high) = match scale {
            Scale::Linear => (low.min(0.0), if high > low.min(0.0) { high * 1.03 } else { low + 1.0 }),
            Scale::Whole => (low - 0.2, high + 0.2),
            Scale::Twos => (low / 1.15, high * 1.15),
            Scale::Tens => (low / 1.4, high * 1.4),
        };
        Ruler { scale, low, high, from, to }
    }

    fn at(&self, x: f64) -> f64 {
        let map = |x: f64| if logarithmic(self.scale) { x.ln() } else { x };
        self.from + (map(x) - map(self.low)) / (map(self.high) - map(self.low)) * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear => {
                let rough = (self.high - self.low) / 7.0;
                let ten = 10f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * ten).into_iter().find(|s| *s >= rough).unwrap_or(rough);
                let first = (self.low / step).ceil() as i64;
                let last = (self.high / step).floor() as i64;
                (first..=last).map(|i| (i as f64 * step, short(i as f64 * step))).collect()
            }
            Scale::Whole => {
                (self.low.ceil() as i64..=self.high.floor() as i64).map(|i| (i as f64, i.to_string())).collect()
            }
            Scale::Twos => self.powers(2.0, 9, |power| grouped(2f64.powi(power))),
            Scale::Tens => {
                let few = self.high / self.low < 30.0;
                let powers = self.powers(10.0, 9, |power| format!("10{}", raised(power)));
                if !few {
                    return powers;
                }
                let first = self.low.log10().floor() as i32;
                let last = self.high.log10().ceil() as i32;
                let all = (first..=last).flat_map(|power| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(power)));
                all.filter(|x| (self.low..=self.high).contains(x)).map(|x| (x, short(x))).collect()
            }
        }
    }

    fn powers(&self, base: f64, most: i32, label: impl Fn(i32) -> String) -> Vec<(f64, String)> {
        let first = (self.low.ln() / base.ln()).ceil() as i32;
        let last = (self.high.ln() / base.ln()).floor() as i32;
        let step = ((last - first) / most + 1) as usize;
        (first..=last).step_by(step).map(|power| (base.powi(power), label(power))).collect()
    }
}

fn logarithmic(scale: Scale) -> bool {
    matches!(scale, Scale::Twos | Scale::Tens)
}

/// A number without needless digits.
pub fn short(x: f64) -> String {
    if x != 0.0 && !(1e-3..1e5).contains(&x.abs()) {
        return format!("{x:.0e}");
    }
    let text = format!("{x:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// Digits in threes.
pub fn grouped(x: f64) -> String {
    let digits = format!("{x:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn raised(power: i32) -> String {
    let digit = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        c => char::from_u32('⁰' as u32 + c as u32 - '0' as u32).unwrap_or(c),
    };
    power.to_string().chars().map(digit).collect()
}

/// For text between tags.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Plot {
    /// Every number of the plot.
    pub fn numbers(&self) -> Value {
        let point = |p: &Point| json!({ "x": p.x, "y": p.y, "measured": p.measured });
        let line = |l: &Line| json!({ "label": l.label, "points": l.points.iter().map(point).collect::<Vec<_>>() });
        let border = |b: &Border| json!({ "label": b.label, "vertical": b.vertical, "at": b.at });
        json!({
            "title": self.title,
            "x": self.x.label,
            "y": self.y.label,
            "lines": self.lines.iter().map(line).collect::<Vec<_>>(),
            "borders": self.borders.iter().map(border).collect::<Vec<_>>(),
        })
    }

    pub fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let borders = |vertical: bool| self.borders.iter().filter(move |b| b.vertical == vertical).map(|b| b.at);
        let x = Ruler::new(self.x.scale, points().map(|p| p.x).chain(borders(true)), LEFT, WIDTH - RIGHT);
        let y = Ruler::new(self.y.scale, points().map(|p| p.y).chain(borders(false)), HEIGHT - BOTTOM, TOP);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
        );
        text(&mut svg, (LEFT, 22.0), "start", "font-size=\"14\" font-weight=\"bold\"", &self.title);
        self.axes(&mut svg, &x, &y);
        self.cross(&mut svg, &x, &y);
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            draw(&mut svg, line, colour, &x, &y);
        }
        self.legend(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    fn axes(&self, svg: &mut String, x: &Ruler, y: &Ruler) {
        for (at, label) in x.ticks() {
            let px = x.at(at);
            stroke(svg, (px, y.from), (px, y.to), "#e4e4e4", "");
            text(svg, (px, y.from + 18.0), "middle", "", &label);
        }
        for (at, label) in y.ticks() {
            let py = y.at(at);
            stroke(svg, (x.from, py), (x.to, py), "#e4e4e4", "");
            text(svg, (x.from - 8.0, py + 4.0), "end", "", &label);
        }
        stroke(svg, (x.from, y.from), (x.to, y.from), "#333333", "");
        stroke(svg, (x.from, y.from), (x.from, y.to), "#333333", "");
        text(svg, ((x.from + x.to) / 2.0, HEIGHT - 16.0), "middle", "", self.x.label);
        let middle = (y.from + y.to) / 2.0;
        text(svg, (18.0, middle), "middle", &format!("transform=\"rotate(-90 18 {middle:.1})\""), self.y.label);
    }

    fn cross(&self, svg: &mut String, x: &Ruler, y: &Ruler) {
        for border in &self.borders {
            let dotted = "stroke-dasharray=\"2 3\"";
            if border.vertical {
                let px = x.at(border.at);
                stroke(svg, (px, y.from), (px, y.to), "#444444", dotted);
                let turned = format!("font-size=\"11\" transform=\"rotate(-90 {:.1} {:.1})\"", px - 4.0, y.from - 6.0);
                text(svg, (px - 4.0, y.from - 6.0), "start", &turned, &border.label);
            } else {
                let py = y.at(border.at);
                stroke(svg, (x.from, py), (x.to, py), "#444444", dotted);
                text(svg, (x.from + 6.0, py - 4.0), "start", "font-size=\"11\"", &border.label);
            }
        }
    }

    fn legend(&self, svg: &mut String) {
        let left = WIDTH - RIGHT + 18.0;
        for (row, (line, colour)) in self.lines.iter().zip(COLOURS.iter().cycle()).enumerate() {
            let at = TOP + 8.0 + 20.0 * row as f64;
            let guessed = !line.points.iter().any(|p| p.measured);
            stroke(svg, (left, at), (left + 24.0, at), colour, if guessed { DASHED } else { SOLID });
            circle(svg, (left + 12.0, at), colour, !guessed);
            text(svg, (left + 31.0, at + 4.0), "start", "", &line.label);
        }
        if self.lines.iter().flat_map(|line| &line.points).any(|p| !p.measured) {
            let at = TOP + 8.0 + 20.0 * self.lines.len() as f64 + 8.0;
            stroke(svg, (left, at), (left + 24.0, at), "#333333", DASHED);
            circle(svg, (left + 12.0, at), "#333333", false);
            text(svg, (left + 31.0, at + 4.0), "start", "font-style=\"italic\"", &format!("hollow: {}", self.hollow));
        }
    }
}

const SOLID: &str = "stroke-width=\"2\"";
const DASHED: &str = "stroke-width=\"1.5\" stroke-dasharray=\"6 4\"";

fn draw(svg: &mut String, line: &Line, colour: &str, x: &Ruler, y: &Ruler) {
    let place = |p: &Point| (x.at(p.x), y.at(p.y));
    for pair in line.points.windows(2) {
        let style = if pair.iter().all(|p| p.measured) { SOLID } else { DASHED };
        stroke(svg, place(&pair[0]), place(&pair[1]), colour, style);
    }
    for point in &line.points {
        circle(svg, place(point), colour, point.measured);
    }
}

fn circle(svg: &mut String, (x, y): (f64, f64), colour: &str, filled: bool) {
    let fill = if filled { colour } else { "#ffffff" };
    let _ = writeln!(
        svg,
        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.4\" fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"
    );
}

fn stroke(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str, style: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" {style}/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, style: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#222222\" {style}>{}</text>",
        escaped(text)
    );
}
