"""What people might say about the sounds of the sample: five captions, tags and questions per clip, in the project's words.

Each entry: clip name -> (domain, tags, captions, questions); a question is (category, question, answer).
"""

from __future__ import annotations

from typing import NamedTuple


class Texts(NamedTuple):
    """Everything written about one clip."""

    domain: str
    tags: tuple[str, ...]
    captions: tuple[str, str, str, str, str]
    questions: tuple[tuple[str, str, str], ...]


TRAIN: dict[str, Texts] = {
    "rain_steady": Texts(
        "nature",
        ("rain", "water"),
        (
            "Rain falls steadily on a hard surface while single drops splash nearby.",
            "A constant downpour, with some heavier drips close to the microphone.",
            "Water is pouring down outside and it does not let up at all.",
            "Hissing rainfall with light pattering on what could be a window sill.",
            "It rains evenly, and small droplets tap against something solid.",
        ),
        (
            ("direct_perception", "What weather can be heard?", "Steady rain"),
            ("sound_characteristics", "Does the loudness change much?", "No, it stays nearly the same"),
        ),
    ),
    "beeps_slow": Texts(
        "signal",
        ("beep", "electronic tone"),
        (
            "An electronic device gives four short beeps, one every second.",
            "Somewhere a machine beeps at regular intervals on the same pitch.",
            "The same clear tone sounds four times with silence in between.",
            "Slow and even beeping, like a reversing lorry or a hospital monitor.",
            "A single high note is repeated once a second in a quiet room.",
        ),
        (
            ("direct_perception", "How many beeps are there?", "Four"),
            ("sound_characteristics", "Do the beeps change in pitch?", "No, all have the same pitch"),
        ),
    ),
    "sweep_rising": Texts(
        "signal",
        ("sweep", "rising pitch"),
        (
            "A pure tone slides from very low to very high without a break.",
            "The pitch climbs smoothly upwards, as in a loudspeaker test.",
            "Something electronic whistles higher and higher for three seconds.",
            "A deep hum turns into a shrill whistle in one long glide.",
            "One continuous synthetic sound that keeps rising until it stops.",
        ),
        (
            ("sound_characteristics", "In which direction does the pitch move?", "Upwards"),
            ("inference_judgement", "Is the sound natural or synthetic?", "Synthetic"),
        ),
    ),
    "drone_low": Texts(
        "machine",
        ("drone", "hum"),
        (
            "A deep and heavy drone fades in, holds its note and fades out.",
            "Low humming of a large machine behind a wall, never changing.",
            "A dark bass note is held for several seconds with a soft rumble.",
            "The ground seems to vibrate from a constant low buzzing.",
            "Some ventilation unit hums deeply without any pause.",
        ),
        (
            ("sound_characteristics", "Is the sound high or low?", "Very low"),
            ("environment_reasoning", "Where could this be heard?", "Next to a big machine or a ventilation shaft"),
        ),
    ),
    "knocks_door": Texts(
        "household",
        ("knock", "door"),
        (
            "Somebody knocks three times on a wooden door and waits.",
            "Three slow, dull knocks with the same time between them.",
            "A visitor raps on the door thrice, then there is silence.",
            "Knuckles hit a thick wooden board three times.",
            "Three calm knocks echo shortly, and nobody answers.",
        ),
        (
            ("direct_perception", "How often does the person knock?", "Three times"),
            ("inference_judgement", "Is the person in a hurry?", "No, the knocking is calm"),
            ("direct_perception", "What is being hit?", "Wood, probably a door"),
        ),
    ),
    "siren_two_tone": Texts(
        "vehicle",
        ("siren", "emergency vehicle"),
        (
            "A European ambulance siren switches back and forth between two notes.",
            "Two alternating horn tones warn the traffic of an emergency vehicle.",
            "The siren of a fire engine sounds in a high and low pattern.",
            "A loud two-note signal repeats over and over at a steady pace.",
            "Police car close by with its hi-lo siren turned on.",
        ),
        (
            ("sound_characteristics", "How many different notes does the siren have?", "Two"),
            ("inference_judgement", "What is probably happening?", "An emergency vehicle is on its way"),
        ),
    ),
    "engine_idle": Texts(
        "vehicle",
        ("engine", "idling"),
        (
            "A diesel engine is idling with a rough and regular rattle.",
            "A parked truck keeps its motor running without driving away.",
            "The motor chugs slowly and evenly at low speed.",
            "An old tractor putters in place, with a deep throbbing sound.",
            "Heavy engine running at idle, every stroke can be heard.",
        ),
        (
            ("inference_judgement", "Is the vehicle moving?", "No, the engine is only idling"),
            ("direct_perception", "What makes the sound?", "A combustion engine"),
        ),
    ),
    "chirps_bird": Texts(
        "animal",
        ("bird", "chirp"),
        (
            "A small bird chirps in short groups high up in a tree.",
            "Bright tweeting comes and goes with small pauses in the open air.",
            "One bird calls several times, each chirp bending up and down.",
            "Short whistled notes of a songbird on a quiet morning.",
            "A sparrow-like bird is tweeting, and nothing else can be heard.",
        ),
        (
            ("direct_perception", "Which animal is heard?", "A bird"),
            ("environment_reasoning", "Where was this probably recorded?", "Outdoors"),
        ),
    ),
    "clock_ticks": Texts(
        "household",
        ("clock", "tick"),
        (
            "A wall clock ticks evenly, twice every second, in a silent room.",
            "Tick and tock of a mechanical clock, slightly different in pitch.",
            "Someone recorded the ticking of a small clock from very near.",
            "Dry little clicks follow each other at exactly the same distance.",
            "Time passes with the quiet ticking of an alarm clock.",
        ),
        (
            ("direct_perception", "What object is ticking?", "A clock"),
            ("sound_characteristics", "Is the rhythm regular?", "Yes, perfectly regular"),
        ),
    ),
    "heartbeat": Texts(
        "body",
        ("heartbeat", "thump"),
        (
            "A human heart beats calmly, two soft thumps at a time.",
            "Muffled double thuds as one would hear them through a stethoscope.",
            "Low pulsing beats come in pairs with a small gap after each.",
            "The heartbeat of a resting person, deep and regular.",
            "Lub-dub, lub-dub: someone's heart is beating slowly and quietly.",
        ),
        (
            ("direct_perception", "What part of the body makes this sound?", "The heart"),
            ("inference_judgement", "Is the person excited?", "Probably not, the pulse is slow"),
        ),
    ),
    "bell_church": Texts(
        "signal",
        ("bell", "church bell"),
        (
            "A large church bell is struck twice and rings for a long time.",
            "Two heavy strokes of a bell, the first still sounding under the second.",
            "The tower bell tolls slowly over the village.",
            "Deep metallic ringing that starts hard and dies away slowly.",
            "A big bell chimes two o'clock with a warm and lasting tone.",
        ),
        (
            ("direct_perception", "How many times is the bell struck?", "Twice"),
            ("sound_characteristics", "How does the sound end?", "It rings out slowly"),
        ),
    ),
    "wind_gusts": Texts(
        "nature",
        ("wind", "storm"),
        (
            "Strong wind blows in gusts that swell and then calm down.",
            "A storm howls around the corner of a house, twice getting louder.",
            "Air rushes past the microphone in two long waves.",
            "Gusty wind on an open field, with no other sound around.",
            "The wind rises, roars for a moment, and becomes weaker again.",
        ),
        (
            ("direct_perception", "What can be heard?", "Wind"),
            ("sound_characteristics", "Is the loudness constant?", "No, it comes in gusts"),
        ),
    ),
}

TEST: dict[str, Texts] = {
    "rain_thunder": Texts(
        "nature",
        ("rain", "thunder"),
        (
            "It is raining softly when a deep rumble of thunder rolls by.",
            "Thunder growls in the distance and slowly fades under the rain.",
            "Light rainfall, then a long low thunderclap far away.",
            "A storm is coming: rain first, and then thunder rumbles.",
            "Rain hisses all the time while thunder sounds once and dies down.",
        ),
        (
            ("direct_perception", "What is heard besides rain?", "Thunder"),
            ("inference_judgement", "Is the lightning close?", "No, the thunder sounds far away"),
            ("sound_characteristics", "How often does it thunder?", "Once"),
        ),
    ),
    "alarm_fast": Texts(
        "signal",
        ("alarm", "beep"),
        (
            "A digital alarm clock beeps quickly and does not stop.",
            "Fast, high-pitched beeping from a watch or a smoke detector.",
            "Shrill electronic pips follow each other several times a second.",
            "The alarm goes off with piercing and rapid beeps.",
            "An urgent signal: many short high tones, all alike.",
        ),
        (
            ("sound_characteristics", "Are the beeps slow or fast?", "Fast"),
            ("inference_judgement", "What is the purpose of this sound?", "To wake or to warn somebody"),
        ),
    ),
    "sweep_falling": Texts(
        "signal",
        ("sweep", "falling pitch"),
        (
            "A whistle drops from high to low like a falling bomb in a cartoon.",
            "The tone glides downwards until only a deep hum is left.",
            "One electronic sound sinks steadily in pitch and then ends.",
            "A shrill synthesizer note slides down to the bass.",
            "Descending pure tone, smooth and without any interruption.",
        ),
        (
            ("sound_characteristics", "Does the pitch rise or fall?", "It falls"),
            ("direct_perception", "How does the sound begin?", "High and shrill"),
        ),
    ),
    "hum_beating": Texts(
        "machine",
        ("hum", "electricity"),
        (
            "An electric transformer hums, getting louder and softer very regularly.",
            "A low mains buzz that pulses about three times per second.",
            "Two almost equal bass tones together make a throbbing hum.",
            "Power lines or a fridge are humming with a wobbling loudness.",
            "Steady electrical humming swells and sinks in a quick rhythm.",
        ),
        (
            ("direct_perception", "What kind of sound is it?", "An electric hum"),
            ("sound_characteristics", "Is its loudness constant?", "No, it pulses"),
        ),
    ),
    "knocks_hurried": Texts(
        "household",
        ("knock", "door"),
        (
            "Someone bangs on a door rapidly, pauses, and bangs even longer.",
            "Impatient knocking in two bursts, very quick and hard.",
            "A person hammers against a thin door as if in a panic.",
            "Rapid raps on hollow wood, five at first and then six more.",
            "Urgent knocking at the door, somebody badly wants to come in.",
        ),
        (
            ("inference_judgement", "How does the person feel?", "Impatient or afraid"),
            ("direct_perception", "How many bursts of knocking are there?", "Two"),
            ("direct_perception", "What is being knocked on?", "A door"),
        ),
    ),
    "siren_wail": Texts(
        "vehicle",
        ("siren", "emergency vehicle"),
        (
            "A police siren wails, its pitch going slowly up and down.",
            "An American style siren rises and falls twice in a row.",
            "The howling of an emergency siren bends from low to high and back.",
            "An ambulance passes through the city with a wailing siren.",
            "A long rising and sinking alarm, loud enough to clear the street.",
        ),
        (
            ("direct_perception", "What is making the noise?", "A siren"),
            ("sound_characteristics", "Does the pitch jump or glide?", "It glides up and down"),
        ),
    ),
    "engine_revving": Texts(
        "vehicle",
        ("engine", "accelerating"),
        (
            "A motorbike accelerates from a standstill to high speed.",
            "The engine starts low and then revs up with a growing roar.",
            "A car speeds up quickly and its motor sounds higher and higher.",
            "Somebody steps on the gas, the motor growls and then screams.",
            "Vehicle pulling away, engine noise rising in pitch and loudness.",
        ),
        (
            ("inference_judgement", "Is the vehicle slowing down?", "No, it accelerates"),
            ("sound_characteristics", "What happens to the pitch?", "It rises"),
        ),
    ),
    "crickets": Texts(
        "animal",
        ("cricket", "insect"),
        (
            "Crickets chirp in the grass on a warm summer night.",
            "An insect trills in short bursts with pauses between them.",
            "High rasping chirps of a cricket, very even and quite near.",
            "Night time in the countryside with the buzzing song of insects.",
            "A cricket sings its shrill pulsing note again and again.",
        ),
        (
            ("direct_perception", "Which animals are heard?", "Crickets"),
            ("environment_reasoning", "What time of day could it be?", "A summer evening or night"),
        ),
    ),
    "typing": Texts(
        "household",
        ("typing", "keyboard"),
        (
            "A person types on a computer keyboard, fast and with small breaks.",
            "Clattering of keys, irregular, as someone writes a text.",
            "Fingers tap quickly on a mechanical keyboard in an office.",
            "Many short dry clicks of different strength, typed by an experienced writer.",
            "Someone is busy at the keyboard and stops briefly to think.",
        ),
        (
            ("direct_perception", "What is the person doing?", "Typing on a keyboard"),
            ("sound_characteristics", "Is the rhythm regular?", "No, it varies"),
        ),
    ),
    "footsteps": Texts(
        "body",
        ("footsteps", "walking"),
        (
            "Someone walks on gravel and slowly comes closer.",
            "Seven footsteps at an easy pace, each a little louder than the last.",
            "A person in shoes approaches on a rough path.",
            "Crunching steps get nearer and then the walking ends.",
            "Heavy footsteps on dry ground come towards the listener.",
        ),
        (
            ("inference_judgement", "Is the person coming or going?", "Coming closer"),
            ("direct_perception", "What is the person doing?", "Walking"),
        ),
    ),
    "doorbell": Texts(
        "signal",
        ("doorbell", "chime"),
        (
            "A doorbell plays its two notes, ding and then dong.",
            "Ding-dong: a friendly two-tone chime announces a visitor.",
            "Two clear bell tones, the second one lower than the first.",
            "Someone presses the bell at the front door of a house.",
            "The chime in the hallway rings once with a high and a low note.",
        ),
        (
            ("direct_perception", "How many notes are played?", "Two"),
            ("inference_judgement", "What does the sound mean?", "Somebody is at the door"),
        ),
    ),
    "waves": Texts(
        "nature",
        ("waves", "sea"),
        (
            "Waves roll onto a beach and run back into the sea.",
            "The surf swells and sinks twice, with foam hissing on the sand.",
            "Calm ocean waves break on the shore one after the other.",
            "Water washes over the beach, draws back and comes again.",
            "At the seaside, two gentle breakers rush in and fade.",
        ),
        (
            ("environment_reasoning", "Where was this recorded?", "At the seaside"),
            ("direct_perception", "How many waves break?", "Two"),
            ("sound_characteristics", "Is the water calm or wild?", "Rather calm"),
        ),
    ),
}
