"""The same JSON work on what the handler is made of, as it comes: `hypercorn -k trio stock:app`."""

from peer import answer
from quart import Response, request
from quart_trio import QuartTrio

app = QuartTrio(__name__)


@app.post("/netron/invoke")
async def invoke():
    headers, reply = answer(await request.get_data())
    return Response(reply, headers={name.decode(): value.decode() for name, value in headers})
