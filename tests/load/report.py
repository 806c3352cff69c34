"""Compare what the clients saw with what the database holds, and print it all."""

from __future__ import annotations

from tests.load.database import Audit
from tests.load.tally import Fault, Tally
from tests.load.theft import Order

__all__ = ["compare", "tell"]

_MAX_NOTES = 12


def compare(tally: Tally, audit: Audit) -> None:
    """Blame what contradicts itself, and what never happened."""
    caught = tally.caught.total()
    facts = {
        "every token has a digest of its own": audit.digests == audit.tokens,
        "every family's tokens are on record": audit.gaps == 0,
        "successors are a grace period apart": audit.hasty == 0,
        "as many families as logins": audit.families
        in range(tally.logins, tally.logins + tally.timeouts + 1),
        "as many successors as full answers": audit.rotations
        in range(tally.full, tally.full + tally.unseen + 1),
        "as many revoked families as thefts caught": audit.revoked.total() == caught,
        # Who loses answers beside a thief may reach the other limit first.
        "revoked for theft": set(audit.revoked) <= {"reused", "unconfirmed_limit"},
    }
    for fact, holds in facts.items():
        if not holds:
            tally.blame(Fault.AUDIT, f"not so: {fact}")
    happened = {
        "refreshes": tally.full,
        "access-only answers": tally.access_only,
        "re-rotations": tally.re_rotated,
        "network changes": tally.network_changes,
        "answers dropped": tally.dropped,
        "connections cut": tally.cut,
        **{f"a theft, {order.value}": tally.caught[order.value] for order in Order},
    }
    for what, times in happened.items():
        if times == 0:
            tally.blame(Fault.NO_PROOF, what)


def tell(tally: Tally, audit: Audit, *, sessions: int, seconds: float) -> None:
    """Print the table, and what went wrong."""
    refreshes = tally.full + tally.access_only
    by_order = ", ".join(f"{n} {order}" for order, n in sorted(tally.caught.items()))
    reasons = ", ".join(f"{n} {why}" for why, n in sorted(audit.revoked.items()))
    missed = tally.faults[Fault.THEFT_MISSED]
    rows = {
        "seconds": f"{seconds:.0f}",
        "sessions": f"{sessions:,} at a time, {tally.logins:,} logins",
        "requests": f"{len(tally.requests):,}, {len(tally.requests) / seconds:.0f}/s",
        "refreshes": f"{refreshes:,}: {tally.full:,} full, {tally.re_rotated:,} of "
        f"them re-rotated, and {tally.access_only:,} access only",
        "two tabs at once": f"{tally.both_tabs:,}",
        "network changes": f"{tally.network_changes:,}",
        "answers lost": f"{tally.dropped:,} full ones dropped, {tally.cut:,} "
        f"connections cut, {tally.timeouts:,} timeouts",
        "thefts": f"{tally.thefts:,} injected, {tally.caught.total():,} caught, "
        f"{missed:,} missed",
        "  caught by order": by_order,
        "latency of requests": _percentiles(tally.requests),
        "latency of refreshes": _percentiles(tally.refreshes),
        "in the database": f"{audit.families:,} families, {audit.rotations:,} "
        f"successors issued, {audit.tokens:,} tokens on record",
        "  revoked": reasons or "none",
    }
    for fault in Fault:
        rows[fault.value] = f"{tally.faults[fault]:,}"
    width = max(map(len, rows))
    print()
    for name, value in rows.items():
        print(f"{name:<{width}}  {value}")
    for note in tally.notes[:_MAX_NOTES]:
        print(f"  ✗ {note}")
    if len(tally.notes) > _MAX_NOTES:
        print(f"  … and {len(tally.notes) - _MAX_NOTES:,} more")


def _percentiles(latencies: list[float]) -> str:
    ordered = sorted(latencies) or [0.0]
    p50, p99 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
    return f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms"
