//! Comparisons and studies, case by case and at random.

use serde_json::{Value, json};

use super::*;
use crate::random::Random;

mod compared;
mod edits;
mod studied;
mod suggested;
