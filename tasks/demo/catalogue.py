"""Products, stores and warehouses of the demonstration: a small Chinese grocer, and the real products of the retail sample."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from server.catalogue import service
from server.catalogue.rules import PlaceDraft, ProductDraft
from server.orders.files import RETAIL, product_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext

SAMPLE = Path(__file__).parents[2] / "examples" / "retail_sample"

CATEGORIES = (("coffee", "咖啡"), ("tea", "茶"), ("bakery", "烘焙"), ("snack", "零食"), ("care", "个护"), ("home", "家居"))
PRODUCTS = (
    ("CF-001", "云南小粒咖啡豆 250g", "coffee", 6900),
    ("CF-002", "挂耳咖啡 10 片装", "coffee", 4590),
    ("CF-003", "冷萃咖啡液 6 杯", "coffee", 3990),
    ("TE-001", "正山小种红茶 100g", "tea", 12800),
    ("TE-002", "茉莉花茶 茶包 20 袋", "tea", 3900),
    ("BK-001", "海盐芝士面包 4 枚", "bakery", 2680),
    ("BK-002", "手工曲奇礼盒", "bakery", 8800),
    ("SN-001", "每日坚果 30 日装", "snack", 9900),
    ("SN-002", "冻干草莓 60g", "snack", 2990),
    ("CA-001", "山茶花护手霜 50ml", "care", 5900),
    ("CA-002", "氨基酸洗发水 400ml", "care", 7900),
    ("HM-001", "手冲咖啡壶 600ml", "home", 16800),
    ("HM-002", "双层玻璃杯 2 只", "home", 5800),
)
STORES = (
    ("330", "南京西路店", "上海"),
    ("367", "徐家汇店", "上海"),
    ("406", "武林路店", "杭州"),
    ("443", "观前街店", "苏州"),
)
WAREHOUSES = (("WH-SH", "上海仓", "华东"), ("WH-GZ", "广州仓", "华南"))


def load(session: Session, demo: DemoContext) -> None:
    """Write the catalogue; what is there already stays as it is."""
    for code, name in CATEGORIES:
        service.upsert_category(session, code, name, actor=demo.actor, now=demo.now)
    for sku, name, category, price_fen in PRODUCTS:
        draft = ProductDraft(sku=sku, name=name, category=category, brand="会伴", price_fen=price_fen)
        service.upsert_product(session, draft, actor=demo.actor, now=demo.now)
    with (SAMPLE / "products.csv").open(encoding="utf-8", newline="") as file:
        service.add_products(session, [product_of(row, RETAIL) for row in csv.DictReader(file)], actor=demo.actor, now=demo.now)
    stores = [PlaceDraft(code, name, region) for code, name, region in STORES]
    service.add_stores(session, stores, actor=demo.actor, now=demo.now)
    for code, name, region in WAREHOUSES:
        service.upsert_warehouse(session, PlaceDraft(code, name, region), actor=demo.actor, now=demo.now)
        for sku, _, _, _ in PRODUCTS:
            service.set_stock(session, code, sku, demo.rng.randrange(20, 400), now=demo.now)
