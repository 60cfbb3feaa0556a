//! The command line from outside: exit codes, exact output, published files.

mod checking;
mod drawing;
mod mistakes;
mod published;
mod support;
