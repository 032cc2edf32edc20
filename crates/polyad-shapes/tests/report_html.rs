//! The report: stands alone, escapes what comes from outside, and bears empty and odd values.

use polyad_shapes::report::{Chart, Confusion, Curve, Grid, NeighbourRow, Report, Scale, Sheet, Thumbnail};

fn curve(name: &str, points: &[[f64; 2]]) -> Curve {
    Curve { name: name.into(), points: points.to_vec(), ..Curve::default() }
}

fn thumbnail(name: &str, png: &[u8], right: Option<bool>) -> Thumbnail {
    Thumbnail { png: png.to_vec(), name: name.into(), note: "0.98".into(), right }
}

fn full() -> Report {
    let points: Vec<_> = (0..40).map(|i| [f64::from(i), 3.0 / (1.0 + f64::from(i) * 0.2)]).collect();
    let accuracy: Vec<_> = points.iter().map(|p| [p[0], 1.0 - p[1] / 3.2]).collect();
    Report {
        title: "A report".into(),
        introduction: "What came of it.".into(),
        summary: vec![("accuracy".into(), "98.1 %".into())],
        charts: vec![
            Chart {
                title: "Loss".into(),
                x: "epoch".into(),
                y: "loss".into(),
                scale: Scale::Values,
                curves: vec![curve("train", &points), curve("validation", &points[..20])],
            },
            Chart {
                title: "Accuracy".into(),
                x: "epoch".into(),
                y: "share".into(),
                scale: Scale::Shares,
                curves: vec![curve("validation", &accuracy)],
            },
        ],
        confusion: Some(Confusion {
            classes: vec!["bolt".into(), "nut".into()],
            counts: vec![vec![9, 1], vec![0, 10]],
        }),
        neighbours: vec![NeighbourRow {
            query: thumbnail("bolt_1", b"Man", None),
            neighbours: vec![thumbnail("bolt_2", b"Ma", Some(true)), thumbnail("nut_1", b"M", Some(false))],
        }],
        tables: vec![Grid {
            title: "Each".into(),
            note: "By hand.".into(),
            columns: vec!["name".into(), "share".into()],
            rows: vec![vec!["bolt".into(), "0.9".into()]],
        }],
        sheets: vec![Sheet { title: "Pictures".into(), rows: vec![vec![thumbnail("nut_2", b"Ma", None)]] }],
        details: vec![("seed".into(), "7".into())],
    }
}

#[test]
fn the_page_loads_nothing() {
    let page = full().to_html();
    for outside in ["http:", "https:", "//", "url(", "@import", "<script", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn pictures_are_data_uris_of_their_bytes() {
    let page = full().to_html();
    for (data, mark) in [("TWFu", "\"bolt_1\""), ("TWE=", "title=right"), ("TQ==", "title=wrong")] {
        let from = page.find(&format!("data:image/png;base64,{data}\"")).expect(data);
        assert!(page[from..from + 120].contains(mark), "{data}");
    }
}

#[test]
fn every_part_is_there_and_an_empty_report_has_none() {
    let page = full().to_html();
    let empty = Report { title: "A report".into(), ..Report::default() }.to_html();
    for part in ["What came of it.", "98.1 %", ">Loss<", "<polyline", "bolt, taken for nut: 1 of 10", ">seed<"] {
        assert!(page.contains(part), "{part}");
        assert!(!empty.contains(part), "{part}");
    }
    assert!(!empty.contains("<section") && empty.contains("<h1>A report</h1>") && empty.ends_with("</html>\n"));
}

#[test]
fn text_from_outside_is_escaped_everywhere() {
    let evil = "<script>\"'&";
    let text = || evil.to_owned();
    let chart = Chart { title: text(), x: text(), y: text(), scale: Scale::Values, curves: Vec::new() };
    let curves = vec![curve(evil, &[[0.0, 1.0], [1.0, 2.0]]), curve(evil, &[[0.0, 1.0]])];
    let pair = || vec![(text(), text())];
    let page = Report {
        title: text(),
        introduction: text(),
        summary: pair(),
        charts: vec![Chart { curves, ..chart }],
        confusion: Some(Confusion { classes: vec![text(); 2], counts: vec![vec![1, 1], vec![1, 1]] }),
        neighbours: vec![NeighbourRow {
            query: Thumbnail { note: text(), ..thumbnail(evil, b"", None) },
            neighbours: vec![Thumbnail { note: text(), ..thumbnail(evil, b"", Some(true)) }],
        }],
        tables: vec![Grid { title: text(), note: text(), columns: vec![text()], rows: vec![vec![text(); 2]] }],
        sheets: vec![Sheet { title: text(), rows: vec![vec![thumbnail(evil, b"", None)]] }],
        details: pair(),
    }
    .to_html();
    assert!(!page.contains("<script") && !page.contains("\"'&"));
    assert!(page.matches("&lt;script&gt;&quot;&#39;&amp;").count() >= 20);
}

#[test]
fn odd_values_are_borne() {
    let odd = [f64::NAN, f64::INFINITY, -1e308, 1e308, 0.0, -0.0, 5e-324];
    for a in odd {
        for b in odd {
            let mut report = full();
            report.charts[0].curves = vec![curve("odd", &[[0.0, a], [1.0, b], [a, b]])];
            report.confusion = Some(Confusion { classes: vec!["only".into()], counts: Vec::new() });
            let page = report.to_html();
            let from = page.find("class=charts").unwrap();
            let charts = &page[from..page.find("class=matrix").unwrap()];
            assert!(!charts.contains("NaN") && !charts.contains("inf"), "{a} {b}");
        }
    }
}

#[test]
fn marks_are_round_and_reach_past_the_curve() {
    let mut report = full();
    report.charts[0].curves = vec![curve("loss", &[[1.0, 0.31], [30.0, 2.7]])];
    let page = report.to_html();
    let chart = &page[page.find(">Loss<").unwrap()..page.find(">Accuracy<").unwrap()];
    for mark in [">0<", ">1<", ">2<", ">3<", ">5<", ">10<", ">30<"] {
        assert!(chart.contains(mark), "{mark}");
    }
}

#[test]
fn deviations_are_bars_inside_the_grid_and_odd_ones_are_left_out() {
    let bars = |deviations: &[f64]| {
        let curve = Curve { deviations: deviations.to_vec(), ..curve("a", &[[0.0, 2.0], [1.0, 3.0]]) };
        let chart = Chart { scale: Scale::Values, curves: vec![curve], ..Chart::default() };
        let page = Report { charts: vec![chart], ..Report::default() }.to_html();
        let lines = page.split("<polyline").skip(1);
        let heights = lines.flat_map(|line| line.split("points=\"").nth(1)?.split('"').next().map(str::to_owned));
        heights.collect::<Vec<_>>()
    };
    assert_eq!(bars(&[]).len(), 1);
    let lines = bars(&[0.5, 4.0]);
    assert_eq!(lines.len(), 3);
    for point in lines.iter().flat_map(|line| line.split(' ')) {
        let y: f64 = point.split_once(',').expect("a pair").1.parse().expect("a number");
        assert!((14.0..=216.0).contains(&y), "{point} leaves the grid");
    }
    assert_eq!(bars(&[f64::NAN, 1.0]).len(), 2);
}
