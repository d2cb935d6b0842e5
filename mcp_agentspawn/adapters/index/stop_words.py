"""Words of a query that say how it is asked and not for what, in their plain form."""

ENGLISH = """
a about all also am an and any anyone are as at be been but by can could d did do does for from get give had has have
he her him his how i if in into is it its just ll m may me my need needs of on or our out please re s she should so
some somebody someone something t than that the their them then there these they this those to up us ve want wants was
we were what when where which who whom why will with would you your
"""
GERMAN = """
aber alle als am an auch auf aus bei bin bitte brauche brauchen da damit dann das dass dem den der des die dir doch du
ein eine einem einen einer eines er es etwas fuer fur gibt habe haben hat hier ich ihm ihr im in ins ist jemand
jemanden kann kannst koennen konnen man mein meine meinen meiner mich mir mit mochte moechte muessen muss mussen nach
nicht noch nur ob oder ohne sich sie sind so soll sollen suche suchen uber ueber um und uns unser unsere unseren vom
von vor was welche welcher welches wenn wer werden wie will wir wird wo zu zum zur
"""
POLISH = """
a aby albo ale bardzo bez by byc byl byla bylo ci co czy dla do gdy gdzie go i ich ja jak jaki jakie jako jest jestem
ktora ktore ktory ktos lub ma mam mi mnie moge moj moja moje mozna moze my na nad nam nas nasz nasza nasze naszej
naszego nie niech o od on ona oni oraz po pod potrzebny potrzebna potrzebuje potrzebujemy prosze przez przy sa sie sobie
szukam ta tak takze tam te tego tej ten to tu tym u w we wszystkie wszystko z za ze zeby
"""
HERE = """
agent agents agenta agenten agenci agentem agentow assistant assistants assistent asystent bot bots subagent subagents
best better good great beste bester bestes besten besser gut gute guter gutes najlepszy najlepsza najlepsze dobry dobra
expert experts experte ekspert
"""
"""What is said of every agent, or by everyone of their own."""
STOP_WORDS = frozenset(f"{ENGLISH} {GERMAN} {POLISH} {HERE}".split())
