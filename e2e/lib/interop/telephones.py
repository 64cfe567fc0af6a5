"""The drivers, by the names that `cells.PEERS` gives them."""

from .asyncio_phone import AiosipuaTelephone
from .baresip_phone import BaresipTelephone, CarrierTelephone, NatTelephone
from .linphone_phone import LinphoneTelephone
from .sipp_phone import SippTelephone

DRIVERS = {
    "baresip": BaresipTelephone, "linphone": LinphoneTelephone, "sipp": SippTelephone, "aiosipua": AiosipuaTelephone,
    "kamailio": CarrierTelephone, "nat": NatTelephone,
}
