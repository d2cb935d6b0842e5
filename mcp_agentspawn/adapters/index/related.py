"""Words of the same meaning at work, in English, German and Polish, so that a query in one finds agents in another.

One meaning a line, in plain letters, each word in the form of a dictionary; inflected ones are found by their stems.
"""

from collections.abc import Mapping, Sequence
from functools import cache

from mcp_agentspawn.adapters.index.words import Word, words

MEANINGS = """
log logs logging logfile protokoll protokolle logdatei log dziennik dzienniki logi
error failure fault bug defect fehler storung ausfall blad awaria usterka
incident outage downtime vorfall storung ausfall incydent awaria
alert alarm pager notification warnung benachrichtigung alarm powiadomienie
monitoring observability metrics uberwachung metriken monitorowanie metryki
cause reason ursache grund przyczyna powod
kubernetes k8s cluster
server host machine rechner maschine serwer maszyna
deploy deployment rollout release bereitstellung ausrollen wdrozenie wydanie
backup restore recovery datensicherung sicherung wiederherstellung kopia odtwarzanie przywracanie
network netzwerk siec
database db sql postgres datenbank baza
query abfrage zapytanie
data daten dane
table spreadsheet excel csv tabelle tabelka tabela arkusz
report reporting summary bericht berichte auswertung raport raporty sprawozdanie zestawienie
chart graph plot dashboard diagramm grafik wykres
forecast prediction predict prognose vorhersage prognoza przewidywanie
statistics statistik statystyka
anomaly outlier anomalie auffalligkeit ausreisser anomalia
invoice bill rechnung faktura rachunek
payment pay zahlung zahlen bezahlen platnosc zaplata
dunning overdue reminder mahnung mahnwesen uberfallig windykacja zaleglosc
expense expenses travel reisekosten spesen auslagen wydatki delegacja
tax vat steuer umsatzsteuer mehrwertsteuer podatek vat
budget etat budzet
accounting bookkeeping ledger buchhaltung buchung ksiegowosc ksiegowanie
cost costs price pricing spending kosten preis koszt koszty cena
bank account konto rachunek
salary payroll wage gehalt lohn gehaltsabrechnung placa wynagrodzenie pensja
employee staff worker mitarbeiter angestellter personal pracownik personel kadry
holiday vacation leave urlaub urlop
sick illness krank krankmeldung choroba chory
hiring recruiting recruitment candidate applicant resume cv bewerber bewerbung lebenslauf rekrutacja kandydat
job vacancy position stelle stellenanzeige praca oferta stanowisko
interview vorstellungsgesprach rozmowa
onboarding einarbeitung wdrozenie
training course learning schulung kurs weiterbildung szkolenie kurs nauka
contract agreement vertrag vereinbarung umowa kontrakt
clause klausel klauzula
law legal lawyer recht rechtlich jurist anwalt prawo prawny prawnik
privacy gdpr dsgvo datenschutz rodo prywatnosc
license licence lizenz licencja
compliance audit auditor prufung revision zgodnosc audyt
security sicherheit bezpieczenstwo
vulnerability cve weakness schwachstelle sicherheitslucke podatnosc luka
threat attack attacker bedrohung angriff zagrozenie atak
password secret credential token passwort kennwort geheimnis haslo
access permission authorization role zugriff zugang berechtigung dostep uprawnienie
phishing
malware virus trojan schadsoftware
firewall
fraud scam betrug oszustwo
code source repository repo quellcode quelltext kod repozytorium
review reviewer check verify inspect prufen prufung uberprufen kontrolle sprawdzic sprawdzanie weryfikacja kontrola
test tests testing testen test testy testowanie
pipeline ci build
commit history blame git verlauf historia
pull merge request
dependency library package abhangigkeit bibliothek paket zaleznosc biblioteka pakiet
update upgrade aktualisieren aktualisierung aktualizacja
migrate migration umzug umstellung migracja przeniesienie
documentation docs manual guide handbook dokumentation anleitung handbuch dokumentacja instrukcja podrecznik
summarize summary summarise digest condense shorten zusammenfassen zusammenfassung streszczenie podsumowanie skrot
translate translation translator ubersetzen ubersetzung ubersetzer tlumaczyc przetlumaczyc tlumaczenie tlumacz
language sprache jezyk
english englisch angielski
german deutsch niemiecki
polish polnisch polski
french franzosisch francuski
proofread proofreading grammar spelling typo korrektur rechtschreibung grammatik korekta ortografia gramatyka
write writer writing draft author schreiben verfassen entwurf text pisac napisac redagowac tekst
transcribe transcription transcript speech voice audio recording transkription sprachaufnahme transkrypcja nagranie mowa
subtitle caption untertitel napisy
meeting minutes call besprechung sitzung meeting spotkanie zebranie
calendar schedule scheduling appointment kalender termin kalendarz termin spotkanie
mail email letter message brief nachricht mail wiadomosc list
presentation slides deck prasentation folien prezentacja slajdy
document file paper dokument datei dokument plik pismo
image picture photo illustration banner bild foto grafik obraz zdjecie grafika
video film wideo
customer client kunde kundin kunden klient klienci
support helpdesk service kundendienst betreuung wsparcie obsluga pomoc
ticket request case anfrage anliegen vorgang zgloszenie wniosek sprawa
complaint claim warranty reklamation beschwerde gewahrleistung reklamacja skarga gwarancja
refund reimbursement ruckerstattung erstattung ruckzahlung zwrot
answer reply respond response antwort antworten beantworten odpowiedz odpowiedziec
question frage pytanie
feedback survey opinion umfrage meinung bewertung ankieta opinia
chat conversation gesprach rozmowa czat
sentiment mood stimmung nastroj
order purchase purchasing procurement buy bestellung einkauf beschaffung zamowienie zakup zakupy
supplier vendor lieferant zulieferer dostawca
stock inventory warehouse lager bestand inventar magazyn zapas inwentarz
shipping delivery shipment parcel versand lieferung paket wysylka dostawa przesylka paczka
sale sales vertrieb verkauf umsatz sprzedaz
lead prospect interessent potencjalny
offer quote proposal angebot oferta
product goods item produkt ware artikel produkt towar
competitor competition rival wettbewerber konkurrent konkurrenz konkurencja
market markt rynek
marketing advertising ad advertisement campaign werbung anzeige kampagne reklama kampania
social instagram linkedin facebook
newsletter rundschreiben biuletyn
website site web page webseite seite internetseite strona witryna
search find lookup suche suchen finden recherche wyszukiwanie szukac znalezc
research investigate investigation study recherche forschung untersuchung studie badanie badania analiza
analysis analyse analyze analyst analytics auswerten auswertung analyse analiza analizowac analityk
source evidence citation proof quelle beleg nachweis zrodlo dowod
fact claim fakt tatsache behauptung fakt twierdzenie
science scientific wissenschaft nauka naukowy
news nachrichten wiadomosci aktualnosci
sensor device iot gerat sensor fuhler urzadzenie czujnik
machine plant factory production maschine anlage fabrik produktion maszyna fabryka produkcja
maintenance maintain repair wartung instandhaltung reparatur konserwacja naprawa utrzymanie serwis
energy electricity power energie strom energia prad
temperature temperatur temperatura
quality qualitat jakosc
clean cleaning cleanup bereinigen bereinigung saubern czyszczenie porzadkowanie
plan planning planner planung planen plan planowanie
capacity kapazitat pojemnosc
risk risiko ryzyko
project projekt
task todo aufgabe zadanie
team
approve approval genehmigung freigabe zatwierdzenie akceptacja zgoda
classify classification triage sort categorize einordnen klassifizieren sortieren klasyfikacja sortowanie
extract extraction auslesen extrahieren wyciaganie ekstrakcja
compare comparison vergleich vergleichen porownanie porownac
explain explanation erklaren erklarung wyjasnienie wyjasnic
fix repair correct beheben reparieren korrigieren naprawic poprawic
generate create produce erzeugen erstellen generieren tworzyc utworzyc generowac
delete remove loschen entfernen usunac usuwanie
accessibility a11y barrierefreiheit dostepnosc
infrastructure terraform infrastruktur infrastruktura
cloud aws azure gcp chmura
container docker image kontener
certificate tls ssl zertifikat certyfikat
performance latency slow profiling leistung langsam wydajnosc wolny opoznienie
api interface schnittstelle interfejs
phone telephone telefon anruf
travel trip flight hotel reise flug podroz lot wyjazd
office buro biuro
school student schule schuler szkola uczen
health medical patient gesundheit patient zdrowie pacjent
address adresse anschrift adres
archive archiv archiwum
book booking reserve reservation buchen reservieren reservierung rezerwacja rezerwowac
browser frontend ui gui oberflache przegladarka
cancel cancellation termination kundigen kundigung stornieren wypowiedzenie anulowac rezygnacja
car vehicle fleet auto fahrzeug fuhrpark samochod pojazd flota
comment kommentar komentarz
convert conversion umwandeln konvertieren konwersja
court lawsuit litigation gericht klage sad pozew
crash abort exception absturz wyjatek
deadline frist falligkeit termin
delay late verspatung verzogerung opoznienie
duplicate duplicates dublette doppelt duplikat
encrypt encryption verschlusseln verschlusselung szyfrowanie
event conference veranstaltung konferenz wydarzenie konferencja
export import
form formular formularz
goal target objective okr ziel cel
identity user login sso benutzer anmeldung uzytkownik logowanie tozsamosc
insurance versicherung ubezpieczenie
map karte mapa
memory ram speicher pamiec
message queue kafka nachricht kolejka
money cash geld pieniadze
outdated obsolete stale veraltet przestarzaly
patent trademark marke wynalazek
personal pii personenbezogen osobowe
policy rule guideline regulation richtlinie regel vorschrift polityka zasada regulamin przepis
process workflow prozess ablauf proces
profile profil
profit margin gewinn marge zysk marza
requirement anforderung wymaganie
revenue turnover income umsatz einnahmen przychod obrot
reset unlock zurucksetzen entsperren resetowanie odblokowac
room desk raum zimmer sala pokoj biurko
safety arbeitsschutz bhp
schema model datenmodell schemat
score rating rank bewertung ocena ranking
script automation skript automatisierung skrypt automatyzacja
spare part ersatzteil czesc
story epic backlog
storage disk volume speicherplatz festplatte dysk
subscription abo abonnement abonament subskrypcja
traffic load last verkehr ruch obciazenie
version versionen wersja
weather wetter pogoda
"""


@cache
def meanings() -> Mapping[str, Sequence[Word]]:
    """All words of all meanings, by key and stem; read once, in a few milliseconds."""
    found: dict[str, list[Word]] = {}
    for line in MEANINGS.strip().splitlines():
        alike = list(words(line))
        for word in alike:
            for stem in {word.key, *word.stems}:
                found.setdefault(stem, []).extend(alike)
    return found


def related(word: Word) -> Sequence[Word]:
    """Other words for what a word means."""
    alike = {other.key: other for stem in (word.key, *word.stems) for other in meanings().get(stem, ())}
    return [other for key, other in alike.items() if key != word.key]
