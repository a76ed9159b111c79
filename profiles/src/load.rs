//! From documents to one profile: each is read, and laid over those it extends.

use crate::origin::Written;
use crate::reader::Reader;
use crate::schema::{self, Profile};
use crate::source::{Document, Source};
use crate::{Problem, builtin};
use sandboxd_plan::HostPath;

/// How many profiles may extend one another in a row.
const DEEPEST: usize = 8;
/// How many documents one profile may be made of.
const MOST_DOCUMENTS: usize = 32;

/// Read a profile and all it extends. `read` fetches a file; builtin profiles need no fetching.
///
/// # Errors
/// Everything that is wrong with the texts, each with its place.
pub fn load(
    document: Document,
    read: &mut dyn FnMut(&HostPath) -> Result<Document, String>,
) -> Result<Profile, Vec<Problem>> {
    let mut loader = Loader { read, problems: Vec::new(), documents: 0, chain: Vec::new() };
    let profile = loader.load(document);
    if loader.problems.is_empty() { Ok(profile) } else { Err(loader.problems) }
}

struct Loader<'r> {
    read: &'r mut dyn FnMut(&HostPath) -> Result<Document, String>,
    problems: Vec<Problem>,
    documents: usize,
    /// The documents that are being read, outermost first.
    chain: Vec<String>,
}

impl Loader<'_> {
    fn load(&mut self, document: Document) -> Profile {
        self.documents += 1;
        let name = document.name.clone();
        let (mut own, extends, folder) = match parse(document, true) {
            Ok(parsed) => parsed,
            Err(problems) => {
                self.problems.extend(problems);
                return Profile::default();
            }
        };
        if let Some(folder) = &folder {
            own.documents.push((name.clone(), folder.clone()));
        }
        if self.chain.is_empty() {
            self.chain.push(name);
        }
        let mut profile = Profile::default();
        for extended in &extends {
            if let Some(base) = self.extended(extended, folder.as_ref()) {
                profile.lay(base);
            }
        }
        // A name is the identity of the profile that is run, not of what it is made from.
        profile.name = None;
        profile.lay(own);
        profile
    }

    fn extended(&mut self, name: &Written<String>, folder: Option<&HostPath>) -> Option<Profile> {
        let (id, document) = match self.fetch(&name.value, folder) {
            Ok(fetched) => fetched,
            Err((what, remedy)) => {
                self.problems.push(name.origin.problem(what, remedy));
                return None;
            }
        };
        self.chain.push(id);
        let profile = self.load(document);
        self.chain.pop();
        Some(profile)
    }

    fn fetch(
        &mut self,
        name: &str,
        folder: Option<&HostPath>,
    ) -> Result<(String, Document), (String, String)> {
        let refused = |what: String, remedy: &str| Err((what, remedy.to_owned()));
        if self.documents >= MOST_DOCUMENTS || self.chain.len() > DEEPEST {
            return refused(
                format!(
                    "extends more than {DEEPEST} levels deep, or more than {MOST_DOCUMENTS} profiles in total"
                ),
                "merge what is needed into one of them",
            );
        }
        if let Some(builtin) = name.strip_prefix("builtin:") {
            if self.chain.iter().any(|earlier| earlier == name) {
                return refused(format!("{name} extends itself"), "remove this entry");
            }
            return match builtin::find(builtin) {
                Some(document) => Ok((name.to_owned(), document)),
                None => refused(
                    format!("there is no {}", shown(name)),
                    &format!("the builtin profiles are {}", builtin::names()),
                ),
            };
        }
        let path = match (name.strip_prefix('/'), folder) {
            (Some(_), _) => HostPath::try_from(name),
            (None, Some(folder)) => folder.join(name.strip_prefix("./").unwrap_or(name)),
            (None, None) => {
                return refused(
                    format!("{} is relative, but this profile is not in a folder", shown(name)),
                    "write the path from /",
                );
            }
        };
        let path = path.map_err(|error| {
            (format!("{} {error}", shown(name)), "write the path from / with no `..`".to_owned())
        })?;
        if self.chain.iter().any(|earlier| earlier == path.as_str()) {
            return refused(format!("{path} extends itself"), "remove this entry");
        }
        match (self.read)(&path) {
            Ok(document) if self.chain.contains(&document.name) => {
                refused(format!("{path} extends itself"), "remove this entry")
            }
            Ok(document) => Ok((path.as_str().to_owned(), document)),
            Err(why) => Err((
                format!("{path} cannot be read: {why}"),
                "correct the path, or remove this entry".to_owned(),
            )),
        }
    }
}

fn shown(name: &str) -> String {
    name.chars().take(120).collect()
}

type Parsed = (Profile, Vec<Written<String>>, Option<HostPath>);

/// One document, without what it extends.
pub(crate) fn parse(document: Document, positions: bool) -> Result<Parsed, Vec<Problem>> {
    let source = Source::new(document, positions).map_err(|problem| vec![problem])?;
    let table = source.parse()?;
    let mut reader = Reader { source: &source, problems: Vec::new() };
    let (profile, extends) = schema::read(&mut reader, &table);
    let mut problems = reader.problems;
    if problems.is_empty() {
        return Ok((profile, extends, source.folder.clone()));
    }
    problems.sort_by_key(|problem| problem.at);
    Err(problems)
}
