"""Words that say little of what a text is about, in English and German.

Lists of our own, short on purpose: what is missing can be added, ``STOP_WORDS | {"ubuntu"}``, and
what should count taken away. In lower case, as words are counted.
"""

from __future__ import annotations

__all__ = ["ENGLISH", "GERMAN", "STOP_WORDS"]

_ENGLISH = """
a about after again all also am an and any are aren't as at be because been before being but by
can can't cannot could couldn't did didn't do does doesn't doing don't down each even few for
from get gets getting go goes going gonna got had hadn't has hasn't have haven't having he her
here hers him his how i i'd i'll i'm i've if in into is isn't it it'd it'll it's its itself just
let let's like many may maybe me might more most much must my myself no nor not now of off oh ok
okay on once one only or other our ours out over own really same say says see shall she should
shouldn't so some something still such than that that's the their theirs them then there there's
these they they'd they'll they're they've thing things this those though through to too try
under until up us use very want was wasn't way we we'd we'll we're we've well were weren't what
what's when where which while who whom whose why will with won't would wouldn't yeah yes yet you
you'd you'll you're you've your yours yourself
"""

ENGLISH = frozenset(_ENGLISH.split())
"""English words that say little."""

_GERMAN = """
aber alle allem allen aller alles als also am an ander andere anderem anderen anderer anderes
auch auf aus bei beim bin bis bist da dabei dafür damit dann daran darauf darum das dass davon
dazu dein deine deinem deinen deiner dem den denn der deren des dich die dies diese diesem
diesen dieser dieses dir doch dort du durch ein eine einem einen einer eines einfach einmal er
es etwas euch euer eure für gar gegen gerade gibt geht ganz hab habe haben habt hast hat hatte
hatten hier hin ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im immer in ins irgendwie ist ja
jede jedem jeden jeder jedes jetzt kann kannst kein keine keinem keinen keiner können könnte
machen mache macht mal man mehr mein meine meinem meinen meiner mich mir mit muss müssen nach
nee nein nicht nichts noch nun nur ob oder ohne schon sehr sein seine seinem seinen seiner seit
sich sie sind so soll sollen sollte sondern sonst über um und uns unser unsere unter viel vom
von vor war waren warum was weg weil weiter welche welcher wenn wer werde werden wie wieder will
wir wird wo wohl wollen wurde wurden würde zu zum zur zwar zwischen
"""

GERMAN = frozenset(_GERMAN.split())
"""German words that say little."""

STOP_WORDS = ENGLISH | GERMAN
"""All of them; some words of one language are others in the other, such as ``die``."""
