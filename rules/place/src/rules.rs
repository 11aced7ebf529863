//! Placement rules, one file each, in the order in which they are asked.

pub mod attribute;
pub mod float_only;
pub mod limit;
pub mod manual;
pub mod no_route;
pub mod passive;
pub mod requested;
pub mod tail;

use ptq_rule::GraphRuleMeta;

/// Every placement rule, by code.
pub const RULES: &[GraphRuleMeta] = &[
    no_route::META,
    limit::META,
    attribute::META,
    float_only::META,
    manual::META,
    requested::META,
    tail::META,
    passive::META,
];
