"""The Bank of Russia's daily document: windows-1251, decimal commas, nominals, a rate *for a date*.

Rates are set on working days for the next day, so dates run from Tuesday to Saturday; a document is out at 16:00 Moscow
time of the day before, and Saturday's serves until Monday ends. The same date always has the same rates.
"""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Decimal
from random import Random

from priceverse.simulator.match import NS_PER_S
from priceverse.simulator.venues.protocol import Request, Response

MOSCOW = timezone(timedelta(hours=3))
PUBLISHED_HOUR = 16
RATE_WEEKDAYS = range(1, 6)  # Tuesday to Saturday
FIRST_DATE = date(1992, 7, 1)
SWING = 0.004
CONTENT_TYPE = "application/xml; charset=windows-1251"
BAD_REQUEST = b'<?xml version="1.0" encoding="utf-8" ?><ValCurs>Error in parameters</ValCurs>'
PATH = "/XML_daily.asp"

Currency = tuple[str, str, str, int, str, str]
"""Id at the bank, ISO number and code, nominal, name, usual rate per nominal."""

CURRENCIES: tuple[Currency, ...] = (
    ("R01010", "036", "AUD", 1, "Австралийский доллар", "53.4"),
    ("R01060", "051", "AMD", 100, "Армянских драмов", "21.2"),
    ("R01090B", "933", "BYN", 1, "Белорусский рубль", "27.1"),
    ("R01235", "840", "USD", 1, "Доллар США", "81.2"),
    ("R01239", "978", "EUR", 1, "Евро", "94.3"),
    ("R01270", "356", "INR", 100, "Индийских рупий", "91.6"),
    ("R01335", "398", "KZT", 100, "Тенге", "15.5"),
    ("R01375", "156", "CNY", 1, "Юань", "11.3"),
    ("R01700J", "949", "TRY", 10, "Турецких лир", "19.4"),
    ("R01820", "392", "JPY", 100, "Иен", "53.8"),
)


def respond(request: Request, now_ns: int) -> Response:
    """Answer `/XML_daily.asp[?date_req=dd/mm/yyyy]`: the latest document, or the one in force on a date."""
    if request.path != PATH:
        return Response(404, b"", "text/html")
    newest = latest_date(now_ns)
    asked = request.query.get("date_req")
    try:
        day = newest if asked is None else datetime.strptime(asked, "%d/%m/%Y").replace(tzinfo=MOSCOW).date()
    except ValueError:
        day = date.min
    if day < FIRST_DATE:
        return Response(200, BAD_REQUEST, "application/xml; charset=utf-8")
    return Response(200, document(min(day, newest)), CONTENT_TYPE)


def latest_date(now_ns: int) -> date:
    """Return the date of the newest document: tomorrow's in the evening of a working day."""
    now = datetime.fromtimestamp(now_ns // NS_PER_S, tz=UTC).astimezone(MOSCOW)
    return in_force((now + timedelta(hours=24 - PUBLISHED_HOUR)).date())


def in_force(day: date) -> date:
    """Return the date whose rates are in force on `day`: itself, or the Saturday before."""
    while day.weekday() not in RATE_WEEKDAYS:
        day -= timedelta(days=1)
    return day


def document(day: date) -> bytes:
    """Return the document in force on `day`."""
    day = in_force(day)
    rows = "".join(_row(day, currency) for currency in CURRENCIES)
    head = f'<ValCurs Date="{day:%d.%m.%Y}" name="Foreign Currency Market">'
    return f'<?xml version="1.0" encoding="windows-1251"?>{head}{rows}</ValCurs>'.encode("windows-1251")


def usd_rub(day: date) -> Decimal:
    """Return roubles per dollar in force on `day`."""
    return next(_value(in_force(day), code, usual) for _, _, code, _, _, usual in CURRENCIES if code == "USD")


def _value(day: date, code: str, usual: str) -> Decimal:
    swing = Random(f"{day} {code}").uniform(-SWING, SWING)  # noqa: S311 - a market, not a secret
    return (Decimal(usual) * Decimal(1 + swing)).quantize(Decimal("0.0001"), ROUND_HALF_EVEN)


def _row(day: date, currency: Currency) -> str:
    bank_id, number, code, nominal, name, usual = currency
    value = _value(day, code, usual)
    per_unit = (value / nominal).normalize()
    return (
        f'<Valute ID="{bank_id}"><NumCode>{number}</NumCode><CharCode>{code}</CharCode><Nominal>{nominal}</Nominal>'
        f"<Name>{name}</Name><Value>{_comma(value)}</Value><VunitRate>{_comma(per_unit)}</VunitRate></Valute>"
    )


def _comma(amount: Decimal) -> str:
    return f"{amount:f}".replace(".", ",")
