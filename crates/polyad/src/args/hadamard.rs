//! Arguments of the commands of the Hadamard toolkit.

use clap::Args;

/// Say what a network costs, and whether it is a polynomial
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad audit starnet-s1
  polyad audit my.model --input 3x96x96 --json

Counted on the network itself, for one input: parameters, multiply-adds (convolutions, linear maps, products of \
matrices; padding counts, biases and element-wise work do not), bytes of the largest two values alive at once, the \
degree as a polynomial and how many products follow each other, products of two values that depend on the input \
(ciphertext) and of one and a constant (plaintext), and three verdicts: no activation function; a polynomial at \
inference, batch norms folded; additions and multiplications alone.

`polyad audit list` prints the names.")]
pub struct AuditArgs {
    /// A published network's name, a model, `builtin`, or `list`
    #[arg(value_name = "NAME|MODEL")]
    pub network: String,
    /// The picture: channels, height, width; 3x224x224, or the size of the model's views
    #[arg(long, value_name = "CxHxW", value_parser = picture)]
    pub input: Option<[usize; 3]>,
    /// Views of a shape, for a model; as in its training where it is left out
    #[arg(long)]
    pub views: Option<usize>,
}

fn picture(text: &str) -> Result<[usize; 3], String> {
    let sizes: Result<Vec<usize>, _> = text.split('x').map(str::parse).collect();
    let wrong = || format!("{text:?} is not like 3x224x224");
    sizes.map_err(|_| wrong())?.try_into().map_err(|_| wrong())
}
