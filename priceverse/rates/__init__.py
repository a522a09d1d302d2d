"""The official USD/RUB rate: the Bank of Russia's document → `rate:usd-rub` and PostgreSQL, one process."""
