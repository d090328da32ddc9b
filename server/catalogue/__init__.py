"""Products, categories, stores and warehouses: the names that rules, scopes and reports speak of.

Invariants: a SKU, a category code, a store code and a warehouse code are each unique; orders keep their own copy of what was sold, so
that editing the catalogue never changes a sale.
"""
