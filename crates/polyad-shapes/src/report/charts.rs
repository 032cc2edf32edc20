//! Line charts as SVG.

use super::html::escaped;

/// Size of a chart, and its margins.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;
/// Colours of the style sheet, used in turn.
const COLOURS: usize = 6;
/// The greatest value that is drawn: beyond it the marks would not fit the page.
const GREATEST: f64 = 1e12;
/// Values that differ by less are drawn as one.
const SMALLEST_SPAN: f64 = 1e-5;

/// A chart: one or more curves over common axes.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    /// The heading.
    pub title: String,
    /// What runs to the right, such as `epoch`.
    pub x: String,
    /// What rises, such as `loss`.
    pub y: String,
    /// How far up and down the chart reaches.
    pub scale: Scale,
    /// The curves.
    pub curves: Vec<Curve>,
}

/// How far a chart reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// From 0 (or the smallest value, if below) to the greatest value.
    #[default]
    Values,
    /// From 0 to 1 both ways as far as the values allow: shares, precision by recall.
    Shares,
}

/// A curve.
#[derive(Debug, Clone, Default)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// Points from left to right; those with a value that is not finite, or beyond a million
    /// millions, are left out.
    pub points: Vec<[f64; 2]>,
    /// How far each point's value may be off, drawn as a bar up and down; empty where nobody knows.
    pub deviations: Vec<f64>,
}

impl Curve {
    /// The ends of the bars, below and above.
    fn bars(&self) -> impl Iterator<Item = [[f64; 2]; 2]> {
        self.points.iter().zip(&self.deviations).map(|([x, y], d)| [[*x, y - d], [*x, y + d]])
    }
}

impl Chart {
    /// The chart as HTML; empty if no curve has a point.
    pub(super) fn to_html(&self) -> String {
        // NaN fails the comparison too.
        let shown = |p: &&[f64; 2]| p.iter().all(|v| v.abs() <= GREATEST);
        let curves: Vec<(&str, Vec<[f64; 2]>)> =
            self.curves.iter().map(|c| (c.name.as_str(), c.points.iter().filter(shown).copied().collect())).collect();
        let bars: Vec<Vec<[[f64; 2]; 2]>> =
            self.curves.iter().map(|c| c.bars().filter(|ends| ends.iter().all(|p| shown(&p))).collect()).collect();
        let points = curves.iter().flat_map(|(_, points)| points).copied();
        let all: Vec<[f64; 2]> = points.chain(bars.iter().flatten().flatten().copied()).collect();
        let (Some(x), Some(y)) = (Axis::horizontal(&all), Axis::vertical(&all, self.scale)) else {
            return String::new();
        };
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let to_x = |value: f64| LEFT + x.part(value) * (right - LEFT);
        let to_y = |value: f64| bottom - y.part(value) * (bottom - TOP);
        let mut svg = format!(
            "<figure class=chart><figcaption>{}</figcaption>\n\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"{}\">\n",
            escaped(&self.title),
            escaped(&self.title)
        );
        for (value, text) in y.ticks() {
            let at = to_y(value);
            svg += &format!(
                "<line class=grid x1={LEFT} x2={right} y1={at:.1} y2={at:.1} />\
                 <text class=label x={} y={:.1} text-anchor=end>{text}</text>\n",
                LEFT - 8.0,
                at + 4.0
            );
        }
        for (value, text) in x.ticks() {
            let (at, under) = (to_x(value), bottom + 18.0);
            svg += &format!("<text class=label x={at:.1} y={under} text-anchor=middle>{text}</text>\n");
        }
        let (middle, low) = ((LEFT + right) / 2.0, HEIGHT - 6.0);
        svg += &format!("<text class=name x={middle} y={low} text-anchor=middle>{}</text>\n", escaped(&self.x));
        let height = (TOP + bottom) / 2.0;
        svg += &format!(
            "<text class=name x=12 y={height} text-anchor=middle transform=\"rotate(-90 12 {height})\">{}</text>\n",
            escaped(&self.y)
        );
        for (i, (name, points)) in curves.iter().enumerate() {
            svg += &drawn(points.iter().map(|p| [to_x(p[0]), to_y(p[1])]), i % COLOURS, name);
            for ends in &bars[i] {
                svg += &drawn(ends.iter().map(|p| [to_x(p[0]), to_y(p[1])]), i % COLOURS, name);
            }
        }
        svg += "</svg>\n";
        if curves.len() > 1 {
            let key = |(i, (name, _)): (usize, &(&str, _))| {
                format!("<span><i class=c{}></i>{}</span>", i % COLOURS, escaped(name))
            };
            svg += &format!("<p class=legend>{}</p>\n", curves.iter().enumerate().map(key).collect::<String>());
        }
        svg + "</figure>\n"
    }
}

/// A line, or a dot where there is but one point.
fn drawn(points: impl Iterator<Item = [f64; 2]>, colour: usize, name: &str) -> String {
    let points: Vec<String> = points.map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
    let title = escaped(name);
    match points.as_slice() {
        [] => String::new(),
        [only] => {
            let (x, y) = only.split_once(',').unwrap_or(("0", "0"));
            format!("<circle class=\"dot c{colour}\" cx={x} cy={y} r=4><title>{title}</title></circle>\n")
        }
        many => format!(
            "<polyline class=\"line c{colour}\" points=\"{}\"><title>{title}</title></polyline>\n",
            many.join(" ")
        ),
    }
}

/// A range of values, and the step between its marks.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    fn horizontal(points: &[[f64; 2]]) -> Option<Axis> {
        let (low, high) = range(points.iter().map(|p| p[0]))?;
        Some(Axis::new(low, high, 7.0))
    }

    /// Ends on a mark, so that no curve leaves the grid.
    fn vertical(points: &[[f64; 2]], scale: Scale) -> Option<Axis> {
        let (low, high) = range(points.iter().map(|p| p[1]))?;
        let high = if scale == Scale::Shares { high.max(1.0) } else { high };
        let axis = Axis::new(low.min(0.0), high, 5.0);
        Some(Axis { high: (axis.high / axis.step - 1e-9).ceil() * axis.step, ..axis })
    }

    fn new(low: f64, high: f64, marks: f64) -> Axis {
        let high = if high - low > SMALLEST_SPAN { high } else { low + 1.0 };
        Axis { low, high, step: round_step((high - low) / marks) }
    }

    fn part(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// Marks and their texts.
    fn ticks(&self) -> Vec<(f64, String)> {
        let decimals = (-self.step.log10().floor()).clamp(0.0, 6.0) as usize;
        let first = (self.low / self.step - 1e-9).ceil();
        let last = (self.high / self.step + 1e-9).floor();
        let count = (last - first).clamp(0.0, 20.0) as usize;
        (0..=count)
            .map(|i| {
                let value = (first + i as f64) * self.step;
                // Adding 0 turns a negative zero into a plain one.
                (value, format!("{:.decimals$}", value + 0.0))
            })
            .collect()
    }
}

fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |found, v| Some(found.map_or((v, v), |(low, high): (f64, f64)| (low.min(v), high.max(v)))))
}

/// The next of 1, 2, 5, 10, 20, ..
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let lead = step / power;
    power * [1.0, 2.0, 5.0].into_iter().find(|n| lead <= *n + 1e-9).unwrap_or(10.0)
}
