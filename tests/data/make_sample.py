#!/usr/bin/env python3
"""Generate synthetic_sample.csv: a small synthetic series for the replay test.

    python3 tests/data/make_sample.py            write synthetic_sample.csv beside this script
    python3 tests/data/make_sample.py --check    only check that the file is up to date

It has the columns of the public VN2 series (week_start, store, product, units_sold,
in_stock) but none of its data: 3 stores x 12 products x 8 weeks, with all values from
the formulas below. The output is deterministic.
"""

import argparse
import csv
import datetime
import io
import pathlib
import sys

STORES = 3
PRODUCTS = 12
WEEKS = 8
FIRST_WEEK = datetime.date(2024, 1, 1)  # a Monday
OUT = pathlib.Path(__file__).with_name("synthetic_sample.csv")


def in_stock(week, store, product):
    """Most products are out of stock for two consecutive weeks, which depend on store and product."""
    if product % 3 == 2:
        return 1  # a third of the products is never out of stock
    return 0 if (week + 2 * store + product) % WEEKS < 2 else 1


def units_sold(week, store, product):
    """A base per product and per store, varying by week; 0 if out of stock."""
    if not in_stock(week, store, product):
        return 0
    return (product * 7 + 3) % 11 + 2 * store + (week + product) % 4


def sample():
    """Return the whole file as text, ordered by week, store, product."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["week_start", "store", "product", "units_sold", "in_stock"])
    for week in range(WEEKS):
        start = (FIRST_WEEK + datetime.timedelta(weeks=week)).isoformat()
        for store in range(STORES):
            for product in range(PRODUCTS):
                writer.writerow(
                    [start, store, product, units_sold(week, store, product), in_stock(week, store, product)]
                )
    return out.getvalue()


def main():
    parser = argparse.ArgumentParser(description="Generate the small series of the replay test.")
    parser.add_argument("--check", action="store_true", help="compare with the file, write nothing")
    args = parser.parse_args()
    text = sample()
    if not args.check:
        OUT.write_bytes(text.encode())
        print(f"{OUT.name}: {text.count(chr(10)) - 1} rows written")
    elif not OUT.exists() or OUT.read_bytes() != text.encode():
        sys.exit(f"{OUT.name} differs from the output of make_sample.py: run it without --check and commit the file")
    else:
        print(f"{OUT.name}: up to date")


if __name__ == "__main__":
    main()
