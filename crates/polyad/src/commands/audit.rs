//! `polyad audit`: what a network costs, and what it is as a function.

use super::models;
use crate::args::AuditArgs;
use crate::failure::{Exit, Failure, Result};
use crate::printer::Printer;
use crate::table::{Table, card};
use polyad_nn::hadamard::audit::{Audit, Layer};
use polyad_nn::hadamard::published;
use serde::Serialize;

const PICTURE: [usize; 3] = [3, 224, 224];

#[derive(Debug, Serialize)]
struct Said {
    network: String,
    input: [usize; 3],
    parameters: usize,
    multiply_adds: usize,
    activation_bytes: usize,
    peak_bytes: usize,
    log2_degree: Option<f64>,
    product_depth: Option<usize>,
    ciphertext_products: usize,
    plaintext_products: usize,
    activation_free: bool,
    polynomial_at_inference: bool,
    only_add_mul: bool,
    layers: Vec<SaidLayer>,
}

#[derive(Debug, Serialize)]
struct SaidLayer {
    name: String,
    kind: &'static str,
    shape: Vec<usize>,
    parameters: usize,
    multiply_adds: usize,
    ciphertext_products: usize,
    plaintext_products: usize,
    log2_degree: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Name {
    name: &'static str,
}

pub fn run(args: &AuditArgs, printer: &Printer) -> Result<Exit> {
    if args.network == "list" {
        for name in published::names() {
            printer.result(&Name { name }, |name| format!("{}\n", name.name))?;
        }
        return Ok(Exit::Done);
    }
    let (audit, input) = if published::names().any(|name| name == args.network) {
        let input = args.input.unwrap_or(PICTURE);
        if args.views.is_some() {
            return Err(Failure::usage(format!("--views: {} is an image network, no model", args.network)));
        }
        (published::audit(&args.network, input).map_err(|why| Failure::usage(why.to_string()))?, input)
    } else {
        of_model(args)?
    };
    printer.result(&said(&args.network, input, audit), words)?;
    Ok(Exit::Done)
}

fn of_model(args: &AuditArgs) -> Result<(Audit, [usize; 3])> {
    let unknown = |failure: Failure| failure.with_hint("`polyad audit list` prints the names of published networks");
    let model = models::definition(args.network.as_ref()).map_err(unknown)?;
    let (header, network) = (model.header(), model.network());
    let side = header.render.size;
    let input = args.input.unwrap_or([3, side, side]);
    let views = args.views.unwrap_or(header.architecture.views);
    let smallest = header.architecture.backbone.smallest();
    let audit = network.audit(views, input, smallest).map_err(|why| Failure::usage(why.to_string()))?;
    Ok((audit, input))
}

fn said(network: &str, input: [usize; 3], audit: Audit) -> Said {
    let layer = |layer: Layer| SaidLayer {
        name: layer.name,
        kind: layer.kind.name(),
        shape: layer.shape,
        parameters: layer.parameters,
        multiply_adds: layer.multiply_adds,
        ciphertext_products: layer.ciphertext_products,
        plaintext_products: layer.plaintext_products,
        log2_degree: layer.log2_degree.filter(|degree| degree.is_finite()),
    };
    Said {
        network: network.to_owned(),
        input,
        parameters: audit.parameters,
        multiply_adds: audit.multiply_adds,
        activation_bytes: audit.activation_bytes,
        peak_bytes: audit.peak_bytes,
        log2_degree: audit.log2_degree,
        product_depth: audit.product_depth,
        ciphertext_products: audit.ciphertext_products,
        plaintext_products: audit.plaintext_products,
        activation_free: audit.activation_free,
        polynomial_at_inference: audit.polynomial_at_inference,
        only_add_mul: audit.only_add_mul,
        layers: audit.layers.into_iter().map(layer).collect(),
    }
}

fn words(said: &Said) -> String {
    let mut table = Table::new(&["layer", "kind", "output", "parameters", "multiply-adds", "products"]);
    for layer in &said.layers {
        let shape: Vec<String> = layer.shape.iter().map(ToString::to_string).collect();
        let number = |n: usize| if n == 0 { "-".to_owned() } else { n.to_string() };
        table.row([
            layer.name.clone(),
            layer.kind.to_owned(),
            shape.join("x"),
            number(layer.parameters),
            number(layer.multiply_adds),
            number(layer.ciphertext_products),
        ]);
    }
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let [channels, height, width] = said.input;
    let card = card(&[
        ("input", format!("{channels}x{height}x{width}")),
        ("parameters", said.parameters.to_string()),
        ("multiply-adds", said.multiply_adds.to_string()),
        ("largest two values", format!("{} bytes", said.activation_bytes)),
        ("all values at once", format!("{} bytes", said.peak_bytes)),
        ("products of two values", said.ciphertext_products.to_string()),
        ("products by a constant", said.plaintext_products.to_string()),
        ("degree", said.log2_degree.map_or("-".to_owned(), |log2| format!("2^{}", crate::table::short(log2)))),
        ("products one after the other", said.product_depth.map_or("-".to_owned(), |depth| depth.to_string())),
        ("free of activations", yes(said.activation_free)),
        ("polynomial at inference", yes(said.polynomial_at_inference)),
        ("only + and ×", yes(said.only_add_mul)),
    ]);
    format!("{}\n{card}", table.text())
}
