"""Where a delivery goes, by map services: what we ask is what the clients of these services ask (geopy, routingpy, googlemaps), each
sent to the same stand-in, and they read from its answers what we read. No real service is reachable from here."""

import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import geopy.geocoders
import googlemaps
import pytest
import routingpy
from lib.allo import Process, clean_environment, BINARY
from test_backoffice import Client

HOME = (47.322, 5.0415)
GUEST = (47.3391, 5.0612)
ADDRESS = {"customerAddress": "12 rue de l'Église", "customerPostalCode": "21000", "customerCity": "Dijon"}
WRITTEN = "12 rue de l'Église, 21000 Dijon"
KEY = "AIzaNoRealKey"


class Maps:
    """Answers as Nominatim, OSRM and Google document it. `fault` instead: a status, or an answer by path."""

    def __init__(self):
        self.asked, self.fault, self.answers = [], None, {}
        maps = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                maps.asked.append((url.path, dict(urllib.parse.parse_qsl(url.query, strict_parsing=True))))
                status, answer = (maps.fault, {}) if maps.fault else (200, maps.answer(url.path))
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.host = f"127.0.0.1:{self.http.server_address[1]}"
        self.origin = f"http://{self.host}"

    def answer(self, path):
        for known, answer in self.answers.items():
            if path.startswith(known):
                return answer
        if path == "/search":
            return [{"place_id": 1, "lat": str(GUEST[0]), "lon": str(GUEST[1]), "display_name": "12, Rue de l'Église, Dijon, France", "class": "building"}]
        if path.startswith("/route/v1/driving/"):
            return {"code": "Ok", "routes": [{"distance": 2904.4, "duration": 421.3, "geometry": "_p~iF~ps|U_ulLnnqC"}], "waypoints": []}
        if path == "/maps/api/geocode/json":
            place = {"lat": GUEST[0], "lng": GUEST[1]}
            result = {"formatted_address": "12 Rue de l'Église, 21000 Dijon, France", "geometry": {"location": place, "location_type": "ROOFTOP"}}
            return {"status": "OK", "results": [result]}
        if path == "/maps/api/distancematrix/json":
            element = {"status": "OK", "distance": {"value": 2904, "text": "2,9 km"}, "duration": {"value": 421, "text": "7 minutes"}}
            return {"status": "OK", "origin_addresses": ["a"], "destination_addresses": ["b"], "rows": [{"elements": [element]}]}
        return {"status": "INVALID_REQUEST"}

    def taken(self):
        asked, self.asked = self.asked, []
        return asked


@pytest.fixture
def maps():
    maps = Maps()
    yield maps
    maps.http.shutdown()


def house(server, standin, **settings):
    allo = server(standin("tone").url, back_office_unsigned="true", **settings)
    client = Client(f"http://{allo.addresses['back_office']}")
    client.allo = allo
    row = client.post("/api/restaurants", {
        "name": "Les Tilleuls", "lat": HOME[0], "lng": HOME[1], "deliveryEnabled": True, "deliveryRadiusKm": 10, "deliveryFee": 2.5, "locale": "fr-FR",
    })  # fmt: skip
    return client, row["id"]


def check(client, restaurant, **question):
    return client.post("/api/availability/check", {"restaurantId": restaurant, "mode": "delivery"} | ADDRESS | question, 200)


def is_exact(answer):
    assert answer["available"] and "note" not in answer, answer
    assert (answer["customerLat"], answer["customerLng"]) == GUEST
    assert (answer["deliveryDistanceKm"], answer["deliveryDurationMin"]) == (2.9, 8 + 3), "three minutes at the door"
    assert answer["customerAddressFormatted"] == WRITTEN


@pytest.mark.allowed_log("a map service does not answer")
def test_nominatim_and_osrm(server, standin, maps):
    client, restaurant = house(
        server, standin, back_office_geocoder="nominatim", back_office_geocoder_url=maps.origin, back_office_geocoder_price="0.004",
        back_office_router="osrm", back_office_router_url=maps.origin + "/", back_office_router_price="0.0021", tools_allow_private=maps.origin,
    )  # fmt: skip
    first = check(client, restaurant)
    is_exact(first)
    assert (first["googleApiCalls"], first["apiCosts"]) == (2, 0.0061)
    ours = maps.taken()
    found = geopy.geocoders.Nominatim(user_agent="judge", domain=maps.host, scheme="http").geocode(WRITTEN, language="fr", country_codes="fr")
    assert (found.latitude, found.longitude) == GUEST
    way = routingpy.OSRM(maps.origin).directions([HOME[::-1], GUEST[::-1]], profile="driving", overview="false")
    assert (way.distance, way.duration) == (2904, 421)
    assert ours == maps.taken()

    again = check(client, restaurant)
    is_exact(again)
    assert (again["googleApiCalls"], again["apiCosts"], maps.taken()) == (0, 0, []), "what was answered is kept"
    # Known coordinates need no geocoder, only the way.
    assert check(client, restaurant, customerLat=47.33, customerLng=5.05)["googleApiCalls"] == 1
    assert [path for path, _ in maps.taken()] == ["/route/v1/driving/5.0415,47.322;5.05,47.33"]

    # A place far from the town that was named is not that address; the town's is meant.
    maps.answers["/search"] = [{"lat": "43.3", "lon": "5.4", "display_name": "12, Rue de l'Église, Marseille"}]
    elsewhere = check(client, restaurant, customerAddress="14 rue de l'Église")
    assert elsewhere["available"] and abs(elsewhere["customerLat"] - 47.3167) < 0.001, elsewhere

    maps.taken(), setattr(maps, "fault", 503)
    estimated = check(client, restaurant, customerAddress="16 rue de l'Église", customerPostalCode="21121", customerCity="Fontaine-lès-Dijon")
    assert estimated["available"] and "estimées" in estimated["note"] and estimated["deliveryDistanceKm"] > 0, estimated
    # A question that was not answered is asked again within its three seconds.
    assert list(dict.fromkeys(path.split("/")[1] for path, _ in maps.taken())) == ["search", "route"]
    assert estimated["googleApiCalls"] == 2, "what was asked is paid, answered or not"
    once = check(client, restaurant, customerAddress="18 rue de l'Église", customerPostalCode="21850", customerCity="Saint-Apollinaire")
    assert once["available"] and "estimées" in once["note"] and (once["googleApiCalls"], maps.taken()) == (0, []), "left alone for a while"


def test_google(server, standin, maps):
    client, restaurant = house(
        server, standin, back_office_geocoder="google", back_office_geocoder_url=maps.origin, back_office_geocoder_price="0.005",
        back_office_router="google", back_office_router_url=maps.origin, back_office_router_price="0.005", back_office_google_maps_key=KEY,
        tools_allow_private=maps.origin,
    )  # fmt: skip
    first = check(client, restaurant)
    is_exact(first)
    assert (first["googleApiCalls"], first["apiCosts"]) == (2, 0.01)
    (path, query), matrix = maps.taken()
    found = geopy.geocoders.GoogleV3(KEY, domain=maps.host, scheme="http").geocode(WRITTEN, language="fr", region="fr")
    assert (found.latitude, found.longitude) == GUEST
    [(its_path, its_query)] = maps.taken()
    # geopy still sends `sensor`, which Google's documentation has dropped.
    assert (path, query | {"sensor": "false"}) == (its_path, its_query)
    theirs = googlemaps.Client(KEY, base_url=maps.origin).distance_matrix(HOME, GUEST, mode="driving", language="fr")
    assert theirs["rows"][0]["elements"][0]["distance"]["value"] == 2904
    assert [matrix] == maps.taken()

    # An address that it does not know is weighed from its town, and nobody calls that a failure.
    maps.answers["/maps/api/geocode/json"] = {"status": "ZERO_RESULTS", "results": []}
    town = check(client, restaurant, customerAddress="1 rue qui n'est pas")
    assert town["available"] and "note" not in town and town["googleApiCalls"] == 2, town


@pytest.mark.allowed_log("a map service does not answer")
def test_google_that_refuses_the_key(server, standin, maps):
    client, restaurant = house(
        server, standin, back_office_geocoder="google", back_office_geocoder_url=maps.origin, back_office_google_maps_key=KEY,
        tools_allow_private=maps.origin,
    )  # fmt: skip
    maps.answers["/maps/api/geocode/json"] = {"status": "REQUEST_DENIED", "results": [], "error_message": "The provided API key is invalid."}
    answer = check(client, restaurant)
    assert answer["available"] and "estimées" in answer["note"], answer
    assert "REQUEST_DENIED" in client.allo.log() and KEY not in client.allo.log()


def allo(folder, name, *arguments, **environment):
    process = Process([BINARY, *arguments], folder, name, clean_environment(**environment))
    process.process.wait(30)
    return process.process.returncode, process.output() + process.log()


def test_newer_postcodes_are_imported(server, standin, folder):
    data = folder / "data"
    text = "FR\t21999\tVilleneuve-la-Neuve\tBourgogne\t27\tCôte-d'Or\t21\tDijon\t212\t47.33\t5.06\t6\n"
    (folder / "FR.txt").write_text(text)
    (folder / "bad.txt").write_text(text + "neither\tnor\n")
    where = {"ALLO_SERVER_DATA_DIR": data, "ALLO_SERVER_LANGUAGE": "en"}
    status, said = allo(folder, "bad", "geo", "import", folder / "bad.txt", **where)
    assert status == 1 and "bad.txt" in said and "line 2" in said, said
    assert not (data / "places.tsv.z").exists()
    status, said = allo(folder, "import", "geo", "import", folder / "FR.txt", **where)
    assert status == 0 and "1" in said and "places.tsv.z" in said, said
    client, restaurant = house(server, standin, server_data_dir=data)
    found = check(client, restaurant, customerPostalCode="21999", customerCity="Villeneuve-la-Neuve")
    assert found["available"] and (found["customerLat"], found["customerLng"]) == (47.33, 5.06), found
    assert check(client, restaurant)["reason"] == "address_not_found", "the file is all that is known"
