#!/usr/bin/env python3
"""Counts the out-of-stock rows of a series, as the truth for the replay. Uses none of the project's code.

    python3 tests/data/truth.py SERIES.csv --stores STORES.csv --products PRODUCTS.csv --out truth.csv
    python3 tests/data/truth.py tests/data/synthetic_sample.csv --sample

SERIES has the columns week_start, store, product, in_stock (0 or 1); others are ignored.
A row is out of stock if in_stock is 0. The output is one CSV file:

    level,region,week_start,product,rows,out_of_stock

The level is nation, week, region, region_week, product, product_week, region_product or
region_product_week. A column that the level does not split by is empty. The totals are
printed on stderr.

The stores and products of a series are mapped to real outlets and products. The replay
uses the same mapping:

  Store s is the outlet at index floor(s * N / 67), counting from 0, of STORES sorted by
  (province_code, store_id) as text. N is the number of outlets and 67 the number of stores
  in the series, so the chosen outlets spread over the provinces. The region is the
  `region` column of that row; `unassigned` stays `unassigned`.

  Product p is the row at index p, counting from 0, of PRODUCTS sorted by gtin as text.
  Its GTIN-14 is that number, padded with zeros to 14 digits.

With --sample there is no mapping: every region is `unassigned`, and product p is the
number p itself, padded with zeros to 14 digits.
"""

import argparse
import collections
import csv
import sys

SERIES_STORES = 67

# Level -> the columns that it splits by, in the order of the output.
LEVELS = {
    "nation": (),
    "week": ("week",),
    "region": ("region",),
    "region_week": ("region", "week"),
    "product": ("product",),
    "product_week": ("product", "week"),
    "region_product": ("region", "product"),
    "region_product_week": ("region", "product", "week"),
}


def read(path):
    """Yields the rows of a CSV file as dicts. A byte order mark is allowed."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def regions_by_store(path):
    """Returns the region of each store, by the mapping at the top of this file."""
    outlets = sorted(read(path), key=lambda row: (row["province_code"], row["store_id"]))
    if len(outlets) < SERIES_STORES:
        sys.exit(f"{path}: {len(outlets)} outlets, but the series has {SERIES_STORES} stores")
    return [outlets[s * len(outlets) // SERIES_STORES]["region"] for s in range(SERIES_STORES)]


def gtin14_by_product(path):
    """Returns the GTIN-14 of each product, by the mapping at the top of this file."""
    return [gtin.zfill(14) for gtin in sorted(row["gtin"] for row in read(path))]


def look_up(values, index, what):
    """Returns values[index], or exits with an error if the series does not fit the mapping."""
    if not 0 <= index < len(values):
        sys.exit(f"{what} {index} of the series is outside the mapping (0 to {len(values) - 1})")
    return values[index]


def mapped(args):
    """Yields (where, out) for each row: its region, product and week, and whether it is out of stock."""
    regions = None if args.sample else regions_by_store(args.stores)
    gtins = None if args.sample else gtin14_by_product(args.products)
    for line, row in enumerate(read(args.series), start=2):
        store, product = int(row["store"]), int(row["product"])
        if row["in_stock"] not in ("0", "1"):
            sys.exit(f"{args.series} line {line}: in_stock is {row['in_stock']!r}, neither 0 nor 1")
        where = {
            "region": "unassigned" if args.sample else look_up(regions, store, "store"),
            "product": str(product).zfill(14) if args.sample else look_up(gtins, product, "product"),
            "week": row["week_start"],
        }
        yield where, row["in_stock"] == "0"


def count(rows):
    """Returns (level, region, week, product) -> [rows, out of stock]."""
    counts = collections.defaultdict(lambda: [0, 0])
    for where, out in rows:
        for level, split in LEVELS.items():
            columns = [where[part] if part in split else "" for part in ("region", "week", "product")]
            cell = counts[(level, *columns)]
            cell[0] += 1
            cell[1] += out
    return counts


def write(counts, file):
    """Writes the counts in the order of LEVELS, and by region, week and product within each level."""
    order = list(LEVELS)
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["level", "region", "week_start", "product", "rows", "out_of_stock"])
    for key in sorted(counts, key=lambda key: (order.index(key[0]), key[1:])):
        writer.writerow([*key, *counts[key]])


def main():
    parser = argparse.ArgumentParser(description="Count the out-of-stock rows of a series.")
    parser.add_argument("series", help="the series CSV")
    parser.add_argument("--stores", help="the outlets CSV (province_code, store_id, region)")
    parser.add_argument("--products", help="the products CSV (gtin)")
    parser.add_argument("--sample", action="store_true", help="no mapping to outlets and products")
    parser.add_argument("--out", help="the file to write; without it, stdout")
    args = parser.parse_args()
    if not args.sample and not (args.stores and args.products):
        parser.error("give --stores and --products, or --sample")
    counts = count(mapped(args))
    if args.out:
        with open(args.out, "w", encoding="utf-8", newline="") as file:
            write(counts, file)
    else:
        write(counts, sys.stdout)
    rows, out = counts[("nation", "", "", "")]
    print(f"{rows:,} rows, {out:,} out of stock, {len(counts):,} lines of truth", file=sys.stderr)


if __name__ == "__main__":
    main()
