//! `[secrets.NAME].placeholder`: in which arguments of whose tools a secret stands for `{{secret:NAME}}`.

use super::{Key, Shape};
use crate::origin::Written;
use crate::reader::{Node, Reader};
use sandboxd_broker_plan::{Name, Pattern};

/// The keys of `placeholder`.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "call",
        doc: "the only [call.NAME] of this profile whose calls get it",
        shape: Shape::Text,
    },
    Key {
        name: "tools",
        doc: "the only tools that get it, each by its name; [call.NAME].tools must allow them",
        shape: Shape::Texts,
    },
    Key {
        name: "arguments",
        doc: "the only arguments, each as a JSON pointer: \"/dsn\", or \"/headers\" with everything in it",
        shape: Shape::Texts,
    },
];

/// Where a secret stands for its placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The call.
    pub call: Written<Name>,
    /// The tools.
    pub tools: Vec<Written<String>>,
    /// The arguments, as JSON pointers (RFC 6901).
    pub arguments: Vec<Written<String>>,
}

const EXAMPLE: &str = "write { call = \"db\", tools = [\"query\"], arguments = [\"/dsn\"] }, as the call and its tool have them";

pub(crate) fn read<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<Placed>> {
    let fields = reader.fields(node, KEYS)?;
    let origin = reader.origin(node);
    let call = fields.get("call").map(|node| (node, reader.text(node)));
    let tools = fields.get("tools").map(|node| reader.list(node, tool));
    let arguments = fields.get("arguments").map(|node| reader.list(node, pointer));
    let call = match call {
        Some((node, text)) => {
            let text = text?;
            match Name::try_from(text.value.as_str()) {
                Ok(name) => Some(text.map(|_| name)),
                Err(error) => {
                    reader.refuse(node, error.to_string(), EXAMPLE);
                    return None;
                }
            }
        }
        None => None,
    };
    // Nothing that is left out means all: who may have a secret is said.
    let what = match (&call, &tools, &arguments) {
        (None, ..) => "names no call",
        (_, None, _) => "names no tool",
        (.., None) => "names no argument",
        (Some(_), Some(tools), Some(_)) if tools.is_empty() => "names no tool",
        (Some(_), Some(_), Some(arguments)) if arguments.is_empty() => "names no argument",
        _ => "",
    };
    if let (Some(call), Some(tools), Some(arguments), "") = (call, tools, arguments, what) {
        return Some(Written { value: Placed { call, tools, arguments }, origin });
    }
    reader.refuse(node, what, EXAMPLE);
    None
}

fn tool<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<String>> {
    let text = reader.text(node)?;
    let what = match Pattern::try_from(text.value.as_str()) {
        Ok(_) if text.value.contains('*') => "is not the name of one tool".to_owned(),
        Ok(_) => return Some(text),
        Err(error) => error.to_string(),
    };
    reader.refuse(node, what, "write the name of each tool that gets the secret");
    None
}

/// RFC 6901: nothing, or parts that each begin with a slash, in which `~` is `~0` and `/` is `~1`.
fn pointer<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<String>> {
    let text = reader.text(node)?;
    let escapes = text.value.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    let begins = text.value.is_empty() || text.value.starts_with('/');
    if begins && escapes && !text.value.ends_with('/') {
        return Some(text);
    }
    let remedy =
        "write /NAME, or /NAME/NAME for what is in an object; / in a name is ~1, and ~ is ~0";
    reader.refuse(node, "is not a JSON pointer to an argument", remedy);
    None
}
