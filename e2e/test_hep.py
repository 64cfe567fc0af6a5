"""Each SIP message goes to a HEP server as well. Kamailio's sipcapture is the judge: it decodes the packets and parses what is in them. sipp places the call."""

import re

from lib.allo import wait_for
from lib.kamailio import CONFIGURATION, Kamailio
from lib.sipp import Script


def test_kamailio_takes_every_message_of_a_call_from_where_it_came(standin, server, sipp, peer, folder):
    homer = Kamailio(folder, "homer", configuration=CONFIGURATION.with_name("hep.cfg"))
    allo = None
    try:
        engine = standin("barge_in")
        allo = server(engine.url, sip_hep_server=f"127.0.0.1:{homer.ports.udp}", sip_hep_key="homer")
        phone = sipp(Script("hep").call().pause(300).bye(), allo, peer)
        phone.wait()
        allo.ended_call()

        def heard():
            return re.findall(r"HEARD (\S+) (\S+) (\S+)", homer.log())

        wait_for("the answer to the BYE", lambda: [what for what, _, _ in heard()].count("200") >= 2, 10)
        told = heard()
        assert len({call for _, call, _ in told}) == 1, told
        what = [message for message, _, _ in told]
        assert {"INVITE", "180", "ACK", "BYE"} <= set(what) and what.index("INVITE") < what.index("180") < what.index("ACK") < what.index("BYE"), told
        ours = f"127.0.0.1:{allo.udp}"
        assert all((source == ours) == message.isdigit() for message, _, source in told), told
    finally:
        if allo:
            allo.stop()
        homer.stop()
