//! Rewrites a program so that it pays for what it does (see [`fuel`](super::fuel)); what it means stays the same.
//!
//! Work multiplies where one input becomes several outputs: `.[]`, `..`, `,`. Memory grows where outputs are gathered
//! (`[...]`), where values are put together (`+`, strings, slices), and where a value is changed that others still see
//! (`|=`). Stack is needed where values are taken apart to their depth: comparison, sorting, text. Each of these places gets a
//! call that takes from the fuel first.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Opt, Part, Path};

use super::fuel::{KEEP, KEY, TIMES, TRY, WEIGH};
use super::profile::{self, Cost};

/// The variable of a rewritten `+=`; no program can name it.
const OPERAND: &str = "$!operand";

/// A program.
pub(super) fn program(term: Term<&str>) -> Term<&str> {
    Meter { is_program: true }.term(term)
}

/// A definition of jaq's: pays for generators and for what it gathers. What it calls beyond that was paid for by its caller.
pub(super) fn definition(mut definition: Def<&'static str>) -> Def<&'static str> {
    definition.body = Meter { is_program: false }.term(definition.body);
    definition
}

struct Meter {
    is_program: bool,
}

impl Meter {
    fn term<'s>(&self, term: Term<&'s str>) -> Term<&'s str> {
        let boxed = |term: Box<Term<&'s str>>| Box::new(self.term(*term));
        match term {
            Term::Id | Term::Num(_) | Term::Var(_) | Term::Break(_) | Term::Arr(None) => term,
            Term::Recurse => then(Term::Recurse, KEEP),
            Term::Str(format, parts) => self.string(format, parts),
            Term::Arr(Some(gathered)) => Term::Arr(Some(Box::new(then(self.term(*gathered), KEEP)))),
            Term::Obj(fields) => Term::Obj(fields.into_iter().map(|field| self.field(field)).collect()),
            Term::Neg(term) => Term::Neg(boxed(term)),
            Term::BinOp(left, op, right) => self.operation(self.term(*left), op, self.term(*right)),
            Term::TryCatch(tried, _) => Term::Call(TRY, vec![self.term(*tried)]),
            Term::IfThenElse(branches, last) => {
                let branch = |(condition, then)| (self.term(condition), self.term(then));
                Term::IfThenElse(branches.into_iter().map(branch).collect(), last.map(boxed))
            }
            Term::Call("recurse", args) if args.is_empty() => then(Term::Recurse, KEEP),
            Term::Call(name, args) => self.call(name, args),
            Term::Path(term, path) => self.path(self.term(*term), path),
            // Only in jaq's own definitions.
            Term::Label(name, term) => Term::Label(name, boxed(term)),
            Term::Fold(word, items, pattern, args) => {
                let items = Box::new(then(self.term(*items), KEEP));
                Term::Fold(word, items, pattern, args.into_iter().map(|arg| self.term(arg)).collect())
            }
            Term::Def(definitions, term) => {
                let inner = |def: Def<&'s str>| Def { name: def.name, args: def.args, body: self.term(def.body) };
                Term::Def(definitions.into_iter().map(inner).collect(), boxed(term))
            }
        }
    }

    fn string<'s>(&self, format: Option<&'s str>, parts: Vec<StrPart<&'s str, Term<&'s str>>>) -> Term<&'s str> {
        let is_literal = is_literal(&parts);
        let part = |part| match part {
            StrPart::Term(term) => StrPart::Term(then(self.term(term), WEIGH)),
            other => other,
        };
        let string = Term::Str(format, parts.into_iter().map(part).collect());
        if is_literal { string } else { then(string, KEEP) }
    }

    fn field<'s>(
        &self,
        (key, value): (Term<&'s str>, Option<Term<&'s str>>),
    ) -> (Term<&'s str>, Option<Term<&'s str>>) {
        match value {
            Some(value) => (self.index(key), Some(self.term(value))),
            None => (key, None),
        }
    }

    fn operation<'s>(&self, left: Term<&'s str>, op: BinaryOp<&'s str>, right: Term<&'s str>) -> Term<&'s str> {
        let plain = |left, op, right| Term::BinOp(Box::new(left), op, Box::new(right));
        match op {
            BinaryOp::Comma => plain(left, op, then(right, KEEP)),
            BinaryOp::Pipe(Some(pattern)) => plain(left, BinaryOp::Pipe(Some(self.pattern(pattern))), right),
            _ if !self.is_program => plain(left, op, right),
            BinaryOp::Math(math) => arithmetic(left, math, right),
            BinaryOp::Cmp(_) => plain(weighed(left), op, weighed(right)),
            BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateAlt => then(plain(left, op, right), WEIGH),
            // `l += r` is `r as $x | l |= . + $x`.
            BinaryOp::UpdateMath(math) => {
                let changed = arithmetic(Term::Id, math, Term::Var(OPERAND));
                let update = then(plain(left, BinaryOp::Update, changed), WEIGH);
                plain(right, BinaryOp::Pipe(Some(Pattern::Var(OPERAND))), update)
            }
            BinaryOp::Pipe(None) | BinaryOp::Alt | BinaryOp::Or | BinaryOp::And => plain(left, op, right),
        }
    }

    fn pattern<'s>(&self, pattern: Pattern<&'s str>) -> Pattern<&'s str> {
        match pattern {
            Pattern::Var(name) => Pattern::Var(name),
            Pattern::Arr(patterns) => Pattern::Arr(patterns.into_iter().map(|it| self.pattern(it)).collect()),
            Pattern::Obj(fields) => {
                Pattern::Obj(fields.into_iter().map(|(key, it)| (self.index(key), self.pattern(it))).collect())
            }
        }
    }

    fn call<'s>(&self, name: &'s str, args: Vec<Term<&'s str>>) -> Term<&'s str> {
        let cost = profile::cost(name, args.len()).filter(|_| self.is_program);
        let args = args.into_iter().map(|arg| self.term(arg));
        match cost {
            None => Term::Call(name, args.collect()),
            Some(Cost::Light) => then(Term::Call(name, args.collect()), KEEP),
            Some(Cost::Builds) => then(Term::Call(name, args.collect()), WEIGH),
            Some(Cost::Deep) => {
                let call = Term::Call(name, args.map(weighed).collect());
                then(pipe(Term::Call(WEIGH, Vec::new()), call), KEEP)
            }
        }
    }

    /// Before each `[]` the value is paid for that it takes apart; slices are paid for when they are there. The terms of all
    /// parts see the input of the path as a whole, so that it may be cut into pieces.
    fn path<'s>(&self, term: Term<&'s str>, Path(parts): Path<Term<&'s str>>) -> Term<&'s str> {
        let has_slice =
            parts.iter().any(|(part, _)| matches!(part, Part::Range(from, to) if from.is_some() || to.is_some()));
        let (mut whole, mut piece) = (term, Vec::new());
        for (part, opt) in parts {
            if let Part::Range(None, None) = part {
                whole = then(along(whole, std::mem::take(&mut piece)), KEEP);
            }
            piece.push((self.part(part), opt));
        }
        let path = along(whole, piece);
        if has_slice { then(path, KEEP) } else { path }
    }

    fn part<'s>(&self, part: Part<Term<&'s str>>) -> Part<Term<&'s str>> {
        match part {
            Part::Index(index) => Part::Index(self.index(index)),
            Part::Range(from, to) => Part::Range(from.map(|it| self.term(it)), to.map(|it| self.term(it))),
        }
    }

    /// What is not written out must turn out to be a string or a number: jaq compares and hashes anything else.
    fn index<'s>(&self, index: Term<&'s str>) -> Term<&'s str> {
        match &index {
            Term::Num(_) => index,
            Term::Str(None, parts) if is_literal(parts) => index,
            _ => then(self.term(index), KEY),
        }
    }
}

fn is_literal(parts: &[StrPart<&str, Term<&str>>]) -> bool {
    parts.iter().all(|part| !matches!(part, StrPart::Term(_)))
}

fn pipe<'s>(left: Term<&'s str>, right: Term<&'s str>) -> Term<&'s str> {
    Term::BinOp(Box::new(left), BinaryOp::Pipe(None), Box::new(right))
}

/// `term | function`
fn then<'s>(term: Term<&'s str>, function: &'static str) -> Term<&'s str> {
    pipe(term, Term::Call(function, Vec::new()))
}

fn along<'s>(term: Term<&'s str>, parts: Vec<(Part<Term<&'s str>>, Opt)>) -> Term<&'s str> {
    if parts.is_empty() { term } else { Term::Path(Box::new(term), Path(parts)) }
}

/// What is compared; a literal needs no weighing.
fn weighed(term: Term<&str>) -> Term<&str> {
    match &term {
        Term::Num(_) | Term::Arr(None) => term,
        Term::Str(None, parts) if is_literal(parts) => term,
        _ => then(term, WEIGH),
    }
}

fn arithmetic<'s>(left: Term<&'s str>, math: Math, right: Term<&'s str>) -> Term<&'s str> {
    let result = match math {
        Math::Mul => Term::Call(TIMES, vec![left, right]),
        // The difference of two lists compares what is in them.
        Math::Sub => Term::BinOp(Box::new(weighed(left)), BinaryOp::Math(math), Box::new(weighed(right))),
        Math::Add | Math::Div | Math::Rem => Term::BinOp(Box::new(left), BinaryOp::Math(math), Box::new(right)),
    };
    // The product of two objects is as deep as they are.
    then(result, if math == Math::Mul { WEIGH } else { KEEP })
}
