//! Profiles on invented hosts: no kernel is asked.
#![forbid(unsafe_code)]

#[cfg(test)]
mod bare;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod graph;
#[cfg(test)]
mod graph_apart;
#[cfg(test)]
mod graph_files;
#[cfg(test)]
mod injects;
#[cfg(test)]
mod network;
#[cfg(test)]
mod passed;
#[cfg(test)]
mod placeholders;
#[cfg(test)]
mod problems;
#[cfg(test)]
mod resolving;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod ssh;
#[cfg(test)]
mod support;
