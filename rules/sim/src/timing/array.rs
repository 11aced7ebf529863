//! How long the units that multiply and pool take for a command, and what keeps them waiting for weights, constants and results.
//!
//! CONV: `ceil(taps·channels / ic) · ceil(filters / oc) · (ceil(pixels / px) + fold_cycles)` cycles a group, with a group's
//! input channels padded to `channel_multiple`, taps to `tap_multiple`; at least `weights / weights_per_cycle`. MATMUL is a
//! CONV of its rows as pixels, its columns as filters. DWCONV: `taps · ceil(outputs / dw_lanes)`, or, where `dw_px` of the lanes
//! are pixels, `taps · ceil(pixels / dw_px) · ceil(channels / (dw_lanes / dw_px))`; pools likewise.
//!
//! A target whose results pass in blocks reads bias and scale of a block's channels for each block, and moves its results out,
//! while it multiplies for the next one: the slower of both counts, and one block of the faster one, which has no neighbour.

use super::cost::halves;
use crate::{Conv, Pool};
use ptq_march::Hardware;

/// Cycles of a convolution in the matrix unit.
pub(super) fn array_cycles(c: &Conv, hw: &Hardware) -> u64 {
    let channels = u64::from(c.group_channels);
    let groups = (u64::from(c.in_hwc[2]) / channels.max(1)).max(1);
    let filters = u64::from(c.out_hwc[2]) / groups;
    let unit = groups * folded([taps(c, hw), channels, filters, pixels(c)], hw);
    halves(c.x_type) * with_results(unit, pixels(c), c.out_hwc[2].into(), u64::from(hw.feed.block_channels), hw)
}

/// Cycles of `m × k` by `k × n` bytes in the matrix unit.
pub(super) fn product_cycles([m, k, n]: [u64; 3], hw: &Hardware) -> u64 {
    with_results(folded([1, k, n, m], hw), m, n, u64::from(hw.feed.block_channels), hw)
}

/// Cycles of a depthwise convolution in its lanes.
pub(super) fn dw_cycles(c: &Conv, hw: &Hardware) -> u64 {
    let (pixels, channels) = (pixels(c), u64::from(c.out_hwc[2]));
    let unit = taps(c, hw) * in_lanes(pixels, channels, hw.mac.dw_lanes, hw);
    // Lanes hold few channels at a time, and so do blocks.
    let depth = hw.mac.dw_lanes.checked_div(hw.feed.dw_px).map_or(u64::MAX, u64::from);
    halves(c.x_type) * with_results(unit, pixels, channels, depth, hw)
}

/// Cycles of a window over each channel in the vector unit, or in the pooling lanes of a target that has such.
pub(super) fn pool_cycles(c: &Pool, hw: &Hardware) -> u64 {
    let window = u64::from(c.kernel[0]) * u64::from(c.kernel[1]);
    let (pixels, channels) = (u64::from(c.out_hw[0]) * u64::from(c.out_hw[1]), u64::from(c.in_hwc[2]));
    match hw.feed.pool_lanes {
        0 => (window * pixels * channels * halves(c.elem)).div_ceil(hw.vector_lanes.into()),
        lanes => halves(c.elem) * window * in_lanes(pixels, channels, lanes, hw),
    }
}

fn taps(c: &Conv, hw: &Hardware) -> u64 {
    match u64::from(c.kernel[0]) * u64::from(c.kernel[1]) {
        1 => 1,
        taps => taps.next_multiple_of(hw.feed.tap_multiple.into()),
    }
}

fn pixels(c: &Conv) -> u64 {
    u64::from(c.out_hwc[0]) * u64::from(c.out_hwc[1])
}

/// Steps of lanes over pixels and channels.
fn in_lanes(pixels: u64, channels: u64, lanes: u32, hw: &Hardware) -> u64 {
    match hw.feed.dw_px {
        0 => (pixels * channels).div_ceil(lanes.into()),
        px => pixels.div_ceil(px.into()) * channels.div_ceil((lanes / px).max(1).into()),
    }
}

/// Cycles for all folds of a group: depth along `ic`, filters along `oc`, pixels passing by.
fn folded([taps, channels, filters, pixels]: [u64; 4], hw: &Hardware) -> u64 {
    let (mac, feed) = (&hw.mac, &hw.feed);
    let depth = taps * channels.next_multiple_of(mac.channel_multiple.into());
    let folds = depth.div_ceil(mac.ic.into()) * filters.div_ceil(mac.oc.into());
    let moving = folds * (pixels.div_ceil(mac.px.into()) + u64::from(feed.fold_cycles));
    match feed.weights_per_cycle {
        0 => moving,
        rate => moving.max((depth * filters.next_multiple_of(mac.oc.into())).div_ceil(rate.into())),
    }
}

/// Cycles of work whose results leave in blocks of at most `depth` channels.
fn with_results(unit: u64, pixels: u64, channels: u64, depth: u64, hw: &Hardware) -> u64 {
    let feed = &hw.feed;
    let leaving =
        if feed.results_per_cycle == 0 { 0 } else { (pixels * channels).div_ceil(feed.results_per_cycle.into()) };
    if feed.block_results == 0 {
        return unit.max(leaving);
    }
    let depth = depth.clamp(1, channels.max(1));
    let places = (pixels * depth).div_ceil(feed.block_results.into()).max(1);
    let constants = (places as f64 * channels as f64 * feed.channel_cycles).ceil() as u64;
    let other = leaving.max(constants);
    unit.max(other) + unit.min(other) / (places * channels.div_ceil(depth).max(1))
}
