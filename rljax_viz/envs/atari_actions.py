"""What the buttons of an Atari game are called: the minimal action sets of the Arcade Learning Environment."""

_ALL = "0123456789abcdefgh"
_NAMES = (
    "noop", "fire", "up", "right", "left", "down", "up-right", "up-left", "down-right", "down-left", "up-fire",
    "right-fire", "left-fire", "down-fire", "up-right-fire", "up-left-fire", "down-right-fire", "down-left-fire",
)  # fmt: skip

# Each letter is an index into _NAMES, in base 18; read from ale-py 0.12.1, checked against envpool's action counts.
_MINIMAL = {
    "Adventure": _ALL, "AirRaid": "0134bc", "Alien": _ALL, "Amidar": "012345abcd", "Assault": "01234bc",
    "Asterix": "023456789", "Asteroids": "01234567abcdef", "Atlantis": "01bc", "Atlantis2": "01bc",
    "Backgammon": "134", "BankHeist": _ALL, "BasicMath": "012345", "BattleZone": _ALL, "BeamRider": "0123467bc",
    "Berzerk": _ALL, "Blackjack": "0125", "Bowling": "0125ad", "Boxing": _ALL, "Breakout": "0134",
    "Carnival": "0134bc", "Casino": "0125", "Centipede": _ALL, "ChopperCommand": _ALL, "CrazyClimber": "023456789",
    "Crossbow": _ALL, "Darkchambers": _ALL, "Defender": _ALL, "DemonAttack": "0134bc", "DonkeyKong": _ALL,
    "DoubleDunk": _ALL, "Earthworld": _ALL, "ElevatorAction": _ALL, "Enduro": "0134589bc", "Entombed": _ALL,
    "Et": _ALL, "FishingDerby": _ALL, "FlagCapture": _ALL, "Freeway": "025", "Frogger": "02345", "Frostbite": _ALL,
    "Galaxian": "0134bc", "Gopher": "01234abc", "Gravitar": _ALL, "Hangman": _ALL, "HauntedHouse": _ALL,
    "Hero": _ALL, "HumanCannonball": _ALL, "IceHockey": _ALL, "Jamesbond": _ALL, "JourneyEscape": "023456789bcdefgh",
    "Kaboom": "0134", "Kangaroo": _ALL, "KeystoneKapers": "0123456789abcd", "KingKong": "012345", "Klax": _ALL,
    "Koolaid": "023456789", "Krull": _ALL, "KungFuMaster": "0234589bcdefgh", "LaserGates": _ALL,
    "LostLuggage": "023456789", "MarioBros": _ALL, "MiniatureGolf": _ALL, "MontezumaRevenge": _ALL,
    "MrDo": "012345abcd", "MsPacman": "023456789", "NameThisGame": "0134bc", "Othello": "0123456789",
    "Pacman": "02345", "Phoenix": "01345bcd", "Pitfall": _ALL, "Pitfall2": _ALL, "Pong": "0134bc",
    "Pooyan": "0125ad", "PrivateEye": _ALL, "Qbert": "012345", "Riverraid": _ALL, "RoadRunner": _ALL,
    "Robotank": _ALL, "Seaquest": _ALL, "SirLancelot": "0134bc", "Skiing": "034", "Solaris": _ALL,
    "SpaceInvaders": "0134bc", "SpaceWar": _ALL, "StarGunner": _ALL, "Superman": _ALL, "Tennis": _ALL,
    "Tetris": "01345", "TicTacToe3d": "0123456789", "TimePilot": "012345abcd", "Trondead": _ALL,
    "Turmoil": "0123456789bc", "Tutankham": "02345abc", "UpNDown": "0125ad", "Venture": _ALL,
    "VideoChess": "0123456789", "VideoCube": _ALL, "VideoPinball": "012345abc", "WizardOfWor": "012345abcd",
    "WordZapper": _ALL, "YarsRevenge": _ALL, "Zaxxon": _ALL,
}  # fmt: skip


def atari_action_names(game: str, num_actions: int) -> tuple[str, ...]:
    """Names of the actions of `game` ("Breakout"), in order; plain numbers where the game is not known."""
    letters = _ALL if num_actions == len(_ALL) else _MINIMAL.get(game, "")
    if len(letters) != num_actions:
        return tuple(f"action {i}" for i in range(num_actions))
    return tuple(_NAMES[_ALL.index(letter)] for letter in letters)
