//! A stream of events (the `text/event-stream` of HTML, section 9.2) as it passes by: the data of each,
//! and where it ends.

/// The letters of a line that are kept to see what it is.
const FIELD: &[u8] = b"data:";

/// What passes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Some of the data of an event.
    Data(&'a [u8]),
    /// An event is over.
    End,
}

/// Reads events.
#[derive(Debug, Default)]
pub struct Events {
    line: Line,
    /// The line before ended with a carriage return: a line feed that follows belongs to it.
    returned: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Line {
    /// So many letters of it are those of a line with data.
    Begins(usize),
    /// It has data.
    Data,
    /// It is another one.
    #[default]
    Start,
    Other,
}

impl Events {
    /// Reads more, and says where in it the last event ends, where one does.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(Piece<'_>)) -> Option<usize> {
        let (mut last, mut at) = (None, 0);
        while let Some(byte) = bytes.get(at) {
            if std::mem::take(&mut self.returned) && *byte == b'\n' {
                at += 1;
                // The whole of its end belongs to the event.
                if last == Some(at - 1) {
                    last = Some(at);
                }
                continue;
            }
            if matches!(byte, b'\n' | b'\r') {
                self.returned = *byte == b'\r';
                at += 1;
                match self.line {
                    Line::Start => {
                        each(Piece::End);
                        last = Some(at);
                    }
                    // What is on several lines is one text.
                    Line::Data => each(Piece::Data(b"\n")),
                    Line::Begins(_) | Line::Other => {}
                }
                self.line = Line::Start;
                continue;
            }
            at = self.within(bytes, at, each);
        }
        last
    }

    /// In a line; returns where it goes on.
    fn within(&mut self, bytes: &[u8], at: usize, each: &mut dyn FnMut(Piece<'_>)) -> usize {
        let matched = match self.line {
            Line::Start => 0,
            Line::Begins(matched) => matched,
            Line::Data | Line::Other => {
                let rest = bytes.get(at..).unwrap_or_default();
                let ends = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                let (line, _) = rest.split_at(ends.unwrap_or(rest.len()));
                if self.line == Line::Data {
                    each(Piece::Data(line));
                }
                return at + line.len();
            }
        };
        self.line = match (bytes.get(at) == FIELD.get(matched), matched + 1 == FIELD.len()) {
            (false, _) => Line::Other,
            (true, true) => Line::Data,
            (true, false) => Line::Begins(matched + 1),
        };
        at + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(pieces: &[&[u8]]) -> (Vec<String>, Vec<Option<usize>>) {
        let (mut reader, mut all, mut data) = (Events::default(), Vec::new(), Vec::new());
        let ends = pieces.iter().map(|piece| {
            reader.push(piece, &mut |piece| match piece {
                Piece::Data(bytes) => data.extend_from_slice(bytes),
                Piece::End => {
                    all.push(
                        String::from_utf8(std::mem::take(&mut data)).unwrap().trim().to_owned(),
                    );
                }
            })
        });
        let ends = ends.collect();
        (all, ends)
    }

    #[test]
    fn data_is_told_apart_from_what_else_there_is() {
        let text = b": hello\nevent: x\ndata: {\"a\":\ndata: 1}\nid: 3\n\ndatax: no\n\ndata:[DONE]\r\n\r\ndata: cut";
        let (all, ends) = events(&[text]);
        assert_eq!(all, ["{\"a\":\n 1}", "", "[DONE]"]);
        assert_eq!(ends, [Some(text.len() - b"data: cut".len())]);
        assert_eq!(events(&[b"data: a\r\rdata: b\r\r"]).0, ["a", "b"]);
        assert_eq!(events(&[b"data: a\n"]), (vec![], vec![None]));
    }

    proptest! {
        #[test]
        fn it_is_the_same_however_it_is_cut(text in "(data:|event|[ab:\r\n]){0,20}", at: usize) {
            let bytes = text.as_bytes();
            let (head, tail) = bytes.split_at(at % (bytes.len() + 1));
            prop_assert_eq!(events(&[bytes]).0, events(&[head, tail]).0);
        }
    }
}
