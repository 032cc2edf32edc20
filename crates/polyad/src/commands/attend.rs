//! `polyad attend`: tensor attention of arrays in a file.

pub mod arrays;
mod certified;

use crate::args::{AttendArgs, Precision};
use crate::failure::{Exit, Failure, Result};
use crate::npz::{self, Writer};
use crate::printer::Printer;
use crate::{paths, table};
use arrays::{Arrays, Case};
use certified::Certified;
use half::{bf16, f16};
use polyad_attention as attention;
use polyad_attention::polynomial::Method;
use polyad_attention::{Bias, Element, Gradients, Inputs, Upstream};
use polyad_shapes::{Error, whole_file};
use polyad_simd::Level;
use serde::Serialize;
use std::io::{BufWriter, Write};
use std::time::Instant;

#[derive(Debug, Serialize)]
struct Attended {
    path: String,
    out: String,
    order: usize,
    form: &'static str,
    shape: [usize; 4],
    keys: Vec<usize>,
    isa: &'static str,
    #[serde(flatten)]
    certified: Option<Certified>,
    seconds: f64,
}

pub fn run(args: &AttendArgs, printer: &Printer) -> Result<Exit> {
    paths::file(&args.input, "what holds the arrays")?;
    paths::new_file(&args.out)?;
    let level = match &args.isa {
        Some(name) => Level::from_name(name).map_err(|why| Failure::usage(why.to_string()))?,
        None => polyad_simd::level(),
    };
    let in_file = |problem: String| Failure::failed(format!("{}: {problem}", args.input.display()));
    let mut case = Case::read(Arrays(npz::read(&args.input)?)).map_err(in_file)?;
    if args.method != Method::Exact {
        case.round(args.dtype);
    }
    if args.backward && case.dout.is_none() {
        return Err(in_file("--backward wants the gradient of out, dout, which is not there".into()));
    }
    certified::check(args)?;
    let rows = args.weights.as_deref().map(|text| chosen(text, case.problem.queries)).transpose()?;
    let start = Instant::now();
    let computed = match (args.method, args.dtype) {
        (Method::Exact, Precision::F32) => compute::<f32>(&case, level, args, rows.as_deref()).map(|all| (all, None)),
        (Method::Exact, Precision::Bf16) => compute::<bf16>(&case, level, args, rows.as_deref()).map(|all| (all, None)),
        (Method::Exact, Precision::F16) => compute::<f16>(&case, level, args, rows.as_deref()).map(|all| (all, None)),
        _ => certified::compute(&case, level, args).map(|all| (all.results, Some((all.method, all.said)))),
    };
    let (results, certified) = computed.map_err(|why| in_file(why.to_string()))?;
    let (method, certified) = certified.unzip();
    let seconds = start.elapsed().as_secs_f64();
    whole_file::write_with(&args.out, |file| {
        let mut file = BufWriter::new(file);
        let mut archive = Writer::new(&mut file);
        let written = results
            .iter()
            .try_for_each(|(name, shape, values)| archive.add(name, shape, values))
            .and_then(|()| method.iter().try_for_each(|(shape, values)| archive.add("method", shape, values)))
            .and_then(|()| archive.finish())
            .and_then(|()| file.flush());
        written.map_err(|why| Error::io(&args.out, why))
    })?;
    let problem = &case.problem;
    let attended = Attended {
        path: args.input.display().to_string(),
        out: args.out.display().to_string(),
        order: problem.order(),
        form: problem.form.name(),
        shape: [problem.batch, problem.heads, problem.queries, problem.width],
        keys: problem.keys.clone(),
        isa: level.name(),
        certified,
        seconds,
    };
    printer.result(&attended, words)?;
    Ok(Exit::Done)
}

fn words(attended: &Attended) -> String {
    let [batch, heads, queries, width] = attended.shape;
    let keys: Vec<String> = attended.keys.iter().map(usize::to_string).collect();
    let mut lines = vec![
        ("order", format!("{}, {}", attended.order, attended.form)),
        ("queries", format!("{batch} × {heads} × {queries} of {width} features")),
        ("keys", keys.join(" × ")),
        ("instructions", attended.isa.to_owned()),
    ];
    if let Some(certified) = &attended.certified {
        lines.extend(certified.words());
    }
    lines.extend([("seconds", format!("{:.3}", attended.seconds)), ("out", attended.out.clone())]);
    table::card(&lines)
}

/// An array of the result.
type Named = (String, Vec<usize>, Vec<f32>);

fn compute<E: Element>(
    case: &Case,
    level: Level,
    args: &AttendArgs,
    rows: Option<&[usize]>,
) -> attention::Result<Vec<Named>> {
    let narrow = |x: &[f32]| x.iter().map(|x| E::narrow(*x)).collect::<Vec<E>>();
    let q = narrow(&case.q);
    let keys: Vec<Vec<E>> = case.keys.iter().map(|k| narrow(k)).collect();
    let values: Vec<Vec<E>> = case.values.iter().map(|v| narrow(v)).collect();
    let keys: Vec<&[E]> = keys.iter().map(Vec::as_slice).collect();
    let values: Vec<&[E]> = values.iter().map(Vec::as_slice).collect();
    let biases: Vec<Bias> = case.biases.iter().map(|(axes, values)| Bias { axes: *axes, values }).collect();
    let inputs = Inputs { biases: &biases, sink: case.sink.as_deref(), ..Inputs::new(&q, &keys, &values) };
    let problem = &case.problem;
    inputs.check(problem)?;
    let mut out = vec![E::narrow(0.0); problem.out_numbers()];
    let mut lse = vec![0.0; problem.rows()];
    let mut workspace = vec![0.0; attention::forward_workspace(problem)?];
    attention::forward(problem, &inputs, &mut out, &mut lse, &mut workspace, level)?;
    let wide = |x: &[E]| x.iter().map(|x| x.wide()).collect::<Vec<f32>>();
    let mut results = vec![
        ("out".to_owned(), case.rows(&[problem.value_width]), wide(&out)),
        ("lse".to_owned(), case.rows(&[]), lse.clone()),
    ];
    if let (true, Some(dout)) = (args.backward, &case.dout) {
        results.extend(gradients(case, &inputs, (&out, &lse, &narrow(dout)), level)?);
    }
    if let Some(rows) = rows {
        let heads = 0..problem.batch * problem.heads;
        let of_all: Vec<usize> =
            heads.flat_map(|head| rows.iter().map(move |row| head * problem.queries + row)).collect();
        let mut weights = vec![0.0; of_all.len() * problem.keys.iter().product::<usize>()];
        let mut workspace = vec![0.0; attention::look_workspace(problem)?];
        attention::weights(problem, &inputs, &lse, &of_all, &mut weights, &mut workspace, level)?;
        let shape = [&case.heads()[..], &[rows.len()], &problem.keys[..]].concat();
        results.push(("weights".to_owned(), shape, weights));
    }
    if args.marginals {
        let mut marginals: Vec<Vec<f32>> = problem.keys.iter().map(|m| vec![0.0; problem.rows() * m]).collect();
        let mut to: Vec<&mut [f32]> = marginals.iter_mut().map(Vec::as_mut_slice).collect();
        let mut workspace = vec![0.0; attention::look_workspace(problem)?];
        attention::marginals(problem, &inputs, &lse, &mut to, &mut workspace, level)?;
        for (axis, values) in marginals.into_iter().enumerate() {
            results.push((format!("marginal_{}", axis + 1), case.rows(&[problem.keys[axis]]), values));
        }
    }
    Ok(results)
}

fn gradients<E: Element>(
    case: &Case,
    inputs: &Inputs<E>,
    (out, lse, dout): (&[E], &[f32], &[E]),
    level: Level,
) -> attention::Result<Vec<Named>> {
    let problem = &case.problem;
    let zeros = |x: &&[E]| vec![E::narrow(0.0); x.len()];
    let mut q = zeros(&inputs.q);
    let mut keys: Vec<Vec<E>> = inputs.keys.iter().map(zeros).collect();
    let mut values: Vec<Vec<E>> = inputs.values.iter().map(zeros).collect();
    let mut biases: Vec<Vec<f32>> = case.biases.iter().map(|(_, values)| vec![0.0; values.len()]).collect();
    let mut sink = case.sink.as_ref().map(|sink| vec![0.0; sink.len()]);
    let mut workspace = vec![0.0; attention::backward_workspace(problem, inputs)?];
    let upstream = Upstream { out, lse, dout, dlse: case.dlse.as_deref() };
    let mut to = Gradients {
        q: &mut q,
        keys: keys.iter_mut().map(Vec::as_mut_slice).collect(),
        values: values.iter_mut().map(Vec::as_mut_slice).collect(),
        biases: biases.iter_mut().map(Vec::as_mut_slice).collect(),
        sink: sink.as_deref_mut(),
    };
    attention::backward(problem, inputs, &upstream, &mut to, &mut workspace, level)?;
    let wide = |x: &[E]| x.iter().map(|x| x.wide()).collect::<Vec<f32>>();
    let mut results = vec![("dq".to_owned(), case.rows(&[problem.width]), wide(&q))];
    for axis in 0..problem.keys.len() {
        results.push((format!("dk{}", axis + 1), case.tokens(axis, problem.width), wide(&keys[axis])));
        results.push((format!("dv{}", axis + 1), case.tokens(axis, problem.value_width), wide(&values[axis])));
    }
    for (((a, b), _), (values, shape)) in case.biases.iter().zip(biases.into_iter().zip(&case.bias_shapes)) {
        results.push((format!("dbias_{a}{b}"), shape.clone(), values));
    }
    if let Some(sink) = sink {
        results.push(("dsink".to_owned(), vec![sink.len()], sink));
    }
    Ok(results)
}

/// Queries by number and range.
fn chosen(text: &str, queries: usize) -> Result<Vec<usize>> {
    let wrong = |part: &str| Failure::usage(format!("--weights: {part:?} is neither a number nor a range like 8-11"));
    let mut rows = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (Ok(from), Ok(to)) = (from.trim().parse::<usize>(), to.trim().parse::<usize>()) else {
            return Err(wrong(part));
        };
        if from > to {
            return Err(wrong(part));
        }
        if to >= queries {
            return Err(Failure::usage(format!("--weights: query {to}, where there are {queries}, counted from 0")));
        }
        rows.extend(from..=to);
    }
    Ok(rows)
}
