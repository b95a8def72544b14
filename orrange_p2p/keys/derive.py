"""Keys from a seed, for demos and tests only: whoever knows the seed has every key.

Nothing here may hold value. A real key comes from `SessionKey.generate` or `PeerKey.generate`.
"""

from hashlib import blake2b

from orrange_p2p.errors import InternalError
from orrange_p2p.keys.session import SECRET_BYTES, is_valid_secret

_PERSON = b"orrange dev key"
_LENGTH_BYTES = 4
_TRIES_MAX = 256


def derive_secret(seed: bytes | str, label: str) -> bytes:
    """32 bytes that seed and label determine, valid as a secp256k1 key and as an Ed25519 seed. For development only.

    Different labels give unrelated keys, and so do different seeds; text stands for its UTF-8 bytes.
    """
    seed_bytes = seed.encode() if isinstance(seed, str) else bytes(seed)
    state = blake2b(digest_size=SECRET_BYTES, person=_PERSON)
    for part in (seed_bytes, label.encode()):
        state.update(len(part).to_bytes(_LENGTH_BYTES, "big"))
        state.update(part)
    for counter in range(_TRIES_MAX):
        attempt = state.copy()
        attempt.update(bytes((counter,)))
        if is_valid_secret(attempt.digest()):
            return attempt.digest()
    raise InternalError("no valid key in 256 tries, which chance does not explain")
