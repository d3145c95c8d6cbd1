"""Names, phrasings and small talk: the raw text of generic questions for fitting and calibrating a router.

A router has to recognise the same question about the same subject in other words, and to tell it from another
question about that subject and from the same question about another subject. It can only learn that from many
subjects, many relations and many ways to ask for each, so this module holds them: a name with two phrasings of one
relation makes a rephrase; with phrasings of two relations, or two names with one phrasing, it makes a near miss.
Conversations and system prompts are what may come before a question, and the unrelated requests are what must never
fire.

All wording was written for this project and is not copied from any data set. More than half of the names are made up,
the others are of real people and things; no phrasing states a fact about any of them, so no answers are learned here.

    >>> RELATIONS["person"]["father"][0].format(NAMES["person"][0])
    'Who was the father of Henrik Vallgren?'
"""

from __future__ import annotations


def _lines(text: str) -> tuple[str, ...]:
    """Return the lines of a block without blank ones and without indentation."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _names(text: str) -> tuple[str, ...]:
    """Return the entries of a block, separated by `|` or by the end of a line."""
    return tuple(part.strip() for line in _lines(text) for part in line.split("|"))


def _relations(text: str) -> dict[str, tuple[str, ...]]:
    """Return the phrasings of each relation of a block; a line `@relation` starts a new one."""
    relations: dict[str, tuple[str, ...]] = {}
    name = ""
    for line in _lines(text):
        if line.startswith("@"):
            name = line[1:]
            relations[name] = ()
        else:
            relations[name] += _names(line)
    return relations


def _conversations(text: str) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Return the conversations of a block: `>` is a turn of the user, `<` an answer, `--` starts the next one."""
    roles = {">": "user", "<": "assistant"}
    conversations: list[list[tuple[str, str]]] = [[]]
    for line in _lines(text):
        if line == "--":
            conversations.append([])
        else:
            conversations[-1].append((roles[line[0]], line[1:].strip()))
    return tuple(tuple(turns) for turns in conversations)


NAMES: dict[str, tuple[str, ...]] = {
    "person": _names(
        """
        Henrik Vallgren|Marta Oduya|Sir Alwyn Thackerby|Ilse Brandvoort|Pjotr Zelenkin|Amina Turé|Lázaro Quintanilla
        Dov Perelstein|Cornelius Ashgrove|Yuki Hanamori|Ragnhild Sjøvik|Tomasz Wierzyński|Bao Lin Chen
        Esperanza del Monte|Kofi Adjaye-Mensah|Oswin|Eleonora di Castelvero|Gideon Marsh|Nadezhda Porokhova
        Ferenc Szilvási|Priyanka Vedantam|Juho Kallasvuori|Thérèse Malvaux|Bertram Cole|Anselm of Durrow
        Sigrún Hallsdóttir|Olumide Bankole|Wendell P. Harkness|Maren Tiedemann|Rafael Obregoso|Mirza Khalid Beg
        Fiona McTavert|Jean-Luc Desrosières|Zofia Kalinek|Dimitrios Vassarakis|Lady Honor Pellinger|Hassan al-Farouqi
        Isolde Kerrigan|Nils Petter Aanrud|Carlo Bonfanelli|Teodora Ilieva|Mbali Khuzwayo|Augustin Lemercier-Roy
        Shirin Daryabandi|Edmund Crowhurst|Lucía Arrebato|Takeshi Morinobu|Kamala Deshmane|Boris Yevtushin|Grace Ndlela
        Tuomas Hirvelä|Ottoline Frayne|Bishop Ranulf Meredew|DJ Kaskelo|Anneliese Vogtmann|Salvador Pinheiro Lobo
        Ewa Drozdek|Ruairí Ó Conchúir|Mehmet Karadere|Philippa Langstone|Georg Friedrich Hallstein|Xiomara Bellido
        Samuel Twyford Jr.|Li Qiaoyun|Adebisi Ogunlade|Viktor Stanek|Hildegard of Rommel|Nuno Seabra|Birgitta Ek
        Ananda Wickremaratne|Josiah Pruett|Clémence Arbogast|Halim Nasrallah|Zebulon Crane|Ingvild Strand Moe
        Pauline Okafor-Smith|Emeric Balogh|Keith Dunmorrow|Tadeo Iriarte|Rosamund Vey|Arvo Pärnamäe|Lorenz Achterberg
        Maya Sundaresan|Old Tom Whitby|Fatoumata Sidibé Koné|Count Adalbert von Reussen|Sunniva|Cheng Wei-han
        Marguerite Yourcenar|Ernest Shackleton|Stanisław Lem|Agnes Martin|Django Reinhardt|Gertrude Bell|Hilma af Klint
        Chinua Achebe|Astrid Lindgren|Buster Keaton|Celia Cruz|Ida B. Wells|Knut Hamsun|Nadia Boulanger|Paavo Nurmi
        Roald Amundsen|Sophie Germain|Thelonious Monk|Ursula K. Le Guin|Wilma Rudolph|Zora Neale Hurston|Akira Kurosawa
        Bessie Coleman|Clarice Lispector|Emil Zátopek|Fanny Mendelssohn|Gerardus Mercator|Isabel Allende|Johan Cruyff
        Kurt Gödel|Lotte Lenya|Olaudah Equiano|Pina Bausch|Qiu Jin|Raoul Wallenberg|Sándor Ferenczi|Tarsila do Amaral
        Vitus Bering|Wisława Szymborska|Yayoi Kusama|Aleksandr Pushkin|Björk|Caroline Herschel|Duke Ellington
        Enheduanna|Fridtjof Nansen|Garrincha|Hokusai|Ada Colau|Nikolaj Coster-Waldau|Juan Manuel Fangio
        Kateri Tekakwitha|Antonín Dvořák|Maria Sibylla Merian|Ole Rømer|Tenzing Norgay|Mary Anning
        """
    ),
    "place": _names(
        """
        Brackenmouth|Villanueva del Humo|Mount Ostrel|Lake Omodeo|Port Velloran|Kastelburg|San Ildefonso de las Peñas
        Mount Harrowden|the Tessel River|Nova Brezina|Upper Dunmere|Quillota Alta|Ras Jamil|Isle of Corrane|Vallombra
        Little Orford|Zemgrad|the Republic of Sarmandia|Haukivesi Bay|Dos Ríos Canyon|Oberfalkenstein|Pointe-aux-Loups
        Kirkwhistle|the Marrow Hills|Tanjung Seribu|Eldoret Heights|Saint-Aubry-sur-Lenne|Wadi Mansour|Lake Tarnovo
        Chapada do Vento|Grindalsvik|Bellharbour|Monte Ferruccio|Nyabiko|the Kingdom of Ostrava-Lund|Kuroshima Bay
        Whitlow-on-Sea|Ust-Kamenka|Bandar Zafar|Piz Calandra|the Orrin Valley|Llanfaredd|Hosszúfalva|Cape Desolation
        Mirador del Este|Fort Tremblay|Amberley Junction|Sønderhavn|the Vesk|Jalpur|Ciudad Almendra|Neu Rathenow
        Kolobane|Puerto Quemado|Dry Fork Creek|Ragusa Vecchia|the Sunder Islands|Hollin County|Ban Nong Sua
        Treviglio Superiore|Lough Arderry|Novy Perekop|Mbuyu District|Glen Tarrach|the Duchy of Halmark
        Santa Rosa do Norte|Isfjellet|Zhongtai Township|Karvala|Mossgate|Pelican Reach|Lac des Ormes|Belgium|Kazakhstan
        Suriname|Bhutan|Lesotho|Paraguay|Latvia|Oman|Fiji|Senegal|Slovenia|Laos|Bologna|Utrecht|Valparaíso|Samarkand
        Tbilisi|Nagasaki|Rotterdam|Mombasa|Winnipeg|Kraków|Salzburg|Cusco|Aleppo|Porto|Bergen|Gdańsk|Lake Baikal
        Lake Titicaca|the Danube|the Zambezi|the Mekong|Kilimanjaro|Mount Erebus|K2|the Carpathians|the Atacama Desert
        Svalbard|Crete|Bornyholm|Saskatchewan|Catalonia|Hokkaido|the Faroe Islands|Ljubljana|Ulaanbaatar|Phnom Penh
        Tierra del Fuego|Yorkshire|Timbuktu|Djibouti|Windhoek|Oaxaca|Adelaide|Nantes|Minsk|Chittagong|Kansas|Ohio
        Bristol|Aberdeen|Chengdu|Busan|the Gulf of Bothnia|Arequipa
        """
    ),
    "organisation": _names(
        """
        Vallgren & Sons|Omnitrade Holdings|FC Dunmere|Kestrel Robotics|the Halvorsen Institute|Banco Almirante
        Nordlys Energi|Tessaly Foods|Brightwater Records|Union Sportive de Lenne|Pemberton Motor Works
        the Orrin Valley Railway Company|Zentralwerk AG|Quillfeather Press|Radio Karvala|the Society for Coastal Birds
        Mirabel Airlines|Castellan Insurance Group|Lumitek|Dynamo Zemgrad|Hartmoor University|Grupo Sarmiento
        Pikkuleipä Oy|the Ministry of Inland Waters|Redfern Aerospace|Ishikawa Precision|the Velloran Philharmonic
        Oakley & Drummond LLP|Blue Heron Games|Sociedad Minera del Norte|St. Cuthwin's College|Kolmar Pharma
        the Corrane Herald|Wexcom|Fabryka Maszyn Wierzbno|Polaris Freight Lines|Arrowsmith Television
        the Free Farmers' Party|Atlético Quemado|Maison Arbogast|Tidewater Brewing Company|Novaterra
        Yamashiro Heavy Industries|the Langstone Foundation|Granite State Savings Bank|Odense Optik
        Sunder Islands Telecom|Hexagon Row Theatre|the Ninth Street Collective|Al-Farouqi Trading|Verdigris Studios
        Compagnie du Levant|Bellharbour Rovers|Pruett Chemical Corporation|Eastmark Software|the Guild of Bell Founders
        Ferrovie Calandra|Tindall Department Stores|Mosaic Health Partners|Jalpur Titans|Kiwano Mobile
        the Meridian Orchestra|Holt & Vane|Studio Kuroshima|Corvid Systems|Lakeshore Community College
        Drozdek Brothers Circus|the Order of Saint Ranulf|Terra Firma Seeds|Sparrowhawk Cycles|Velox Couriers
        Siddiq Textile Mills|Nimbus Cloudworks|the Alpine Rescue Union|Banda Municipal de Almendra|Ekström Glasbruk
        North Fork Lumber|Heron Bank|Cobalt Nine Entertainment|Grafton Steel|SK Perekop|Daewoo|Ericsson|Heineken
        Hitachi|Kawasaki|Michelin|Olivetti|Pirelli|Lancia|Škoda|Telefónica|Unilever|Zeiss|Ajax|Boca Juniors|Celtic
        Benfica|Fenerbahçe|the New York Yankees|the Toronto Maple Leafs|ETH Zurich|Uppsala University|McGill University
        Trinity College Dublin|Blue Note|Deutsche Grammophon|Motown|Aardman|Studio Ghibli|Toei|Valve|Sega|LucasArts
        Infocom|the Salvation Army|Médecins du Monde|the World Wildlife Fund|Interpol|OPEC|Garuda Indonesia|Aeroflot
        Qantas|Wizz Air|Le Monde|Der Spiegel|the Guardian|Al Jazeera|Rai|NHK|the Green Party|Sinn Féin|Fine Gael|Danone
        Bayer|Maersk
        """
    ),
    "work": _names(
        """
        The Salt Ledger|A Winter in Karvala|Nine Doors Down|Os Dias de Cinza|The Cartographer's Daughter|Glasshouse
        Mister Perkin Goes Home|Der letzte Fährmann|Copper Moon|Letters from the Orrin Valley|Blackthorn Road
        Ballad of the Empty Harbour|Symphony of Gears|La Casa del Relojero|Starfall Tactics II|The Hollow Parish
        Midnight at Bellharbour|Sous les tilleuls|How to Bury a River|Tin Orchard|The Widow Pellinger|Kaze no Michi
        Paper Lanterns|Return to Mount Harrowden|Dog Days on Ninth Street|The Amber Protocol|Fuga in verde
        Sister Act of Faith|Pilot Error|The Quiet Republic|Woman with a Yellow Umbrella|Still Life with Quinces
        Hurry Up, Marianne|Rusted Crown|One Hundred Small Lies|Vinternatt|The Beekeeper of Zemgrad|Low Tide
        Operation Nightingale|Crooked Mile Blues|My Father's Typewriter|Dust and Honey|The Last Lamplighter|Signal Lost
        Saltwater Hymns|The Thirteenth Juror|Rumpus Island|Castles for Beginners|Tales of the Brass Falcon
        Green Light, Red Light|Elegy for a Tram Driver|Gravity's Orphans|Toros y tormentas|Whistle Stop|Moth Season
        The Ferryman's Bargain|Kingdom of Moss|A Brief Guide to Ghosts|Deadlock at Fort Tremblay|Iron Lullaby
        Ashes of Tomorrow|Catch the Postman|The Uncommon Gardener|Red Clay Waltz|Hotel Meridian|Nobody Feeds the Crows
        Snow on the Wires|The Inheritance of Ottoline Frayne|Polar Exit|Lost Property|Maria of the Marshes
        Under a Borrowed Sky|Chrome Pigeons|Sixty Cents|The Crocodile Who Could Count|Vesper Street
        Turn Left at Jupiter|Requiem for a Lighthouse|Kolibri|When the Mill Stopped|The Master and Margarita|Solaris
        Stalker|Persepolis|Maus|The Tin Drum|The Name of the Rose|Pan's Labyrinth|Spirited Away|Das Boot
        The Seventh Seal|Bicycle Thieves|La Strada|Alien|Brazil|Fargo|Amadeus|Cabaret|Oklahoma!|Porgy and Bess
        The Rite of Spring|Rigoletto|Fidelio|Boléro|Finlandia|Purple Rain|Rumours|Graceland|OK Computer|Autobahn
        Thriller|Pet Sounds|Waterloo|Africa|Jolene|Zelda|Myst|Doom|Pong|Half-Life|Katamari Damacy|Doctor Who
        Fawlty Towers|Twin Peaks|The Sopranos|Borgen|Derrick|Columbo|Blackadder|Las Meninas|The Kiss
        Girl with a Pearl Earring|The Garden of Earthly Delights|Nighthawks|Pippi Longstocking|Momo|Heidi|Persuasion
        """
    ),
    "thing": _names(
        """
        brennite|solvatin|Kowalik disease|the Hanamori lamp|pearl hockey|river polo on ice|drumlin syndrome|fenobrazole
        white tarnow clay|the Marsh pump|oxyveline|Quintanilla's anaemia|hedge tennis|corrane whisky|the Ek bearing
        yellow jalpur silk|zirnol|tallow bread|the Bankole filter|slow lung|caprixamab|stilt wrestling
        the self-winding plough|lumenic acid|velmorite|Harkness fever|tessaline|the Brandvoort valve|pelota quemada
        quellax|Stanek syndrome|orrin glass|the Kallas engine|dunmere blue|sarmandium|the Twyford loom|mossgate cheese
        Lindqvist's disease|karvala beer|trivalin|norbexidol|the Achterberg process|shinnock|rope polo|bishop's tart
        zemgrad sausage|feverleaf oil|the Vogtmann clock|hexaphene|ambrosil|Crane palsy|the silt drum|tarnovo wool
        copperweed dye|galvanox|the tide harp|the Pruett reaction|lomitrel|blind football|antimony|strontium|beryllium
        xenon|iodine|cinnabar|obsidian|turpentine|aspirin|ibuprofen|morphine|warfarin|metformin|quinine|scurvy|measles
        leprosy|epilepsy|Parkinson's disease|gout|whooping cough|the telescope|the zip fastener|the printing press
        the steam engine|the ballpoint pen|the accordion|the sitar|dynamite|nylon|linoleum|Bakelite|celluloid|marzipan
        kimchi|halloumi|curling|pétanque|badminton|lacrosse|sepak takraw|water polo|kendo|backgammon|tofu|vermouth
        aquavit|methane|ammonia|sulphuric acid|vanillin|cortisone|the barometer|Velcro
        """
    ),
    "creature": _names(
        """
        Hirvela's frog|the sickle-tailed lory|Sønderia|Velloropsis gigas|the tufted cave cricket|Vallgrenia borealis
        the Karvala newt|Omodeus|the ash-backed thrush|Pelloria minuta|Harkness's bat|the marrow beetle|Tessarella
        Corranea viridis|the dusky river shrew|Sarmandosaurus|Orrinichthys|the lesser moss frog|Quemadia longipes
        the blue-lipped skink|Zemgradia|Dunmerella alba|the hollow reed warbler|Brachyvellum|Ishikawa's goby
        the saltpan spider|Nebulophrys|the Tarrach pony|Lophovespa cornuta|the velvet limpet|Kuroshimaia
        Arbogastia petiolata|the painted quillfish|Mossgate sheep|Perekopia sylvatica|the gharial|Panthera onca
        Bos grunniens|the axolotl|the kakapo|Ginkgo biloba|Quercus robur|the aardvark|Lynx pardinus|the narwhal
        Drosophila|the lammergeier|Welwitschia mirabilis|the okapi|Helianthus|the coelacanth|Bombus terrestris
        the wombat|Sequoia|the green mamba|Ailuropoda|the hoopoe|Salmo salar|the pangolin|Tyrannosaurus|Archaeopteryx
        the European beaver|Nepenthes|the yak|Amanita muscaria|the leafcutter ant|Orchis|the black-footed ferret
        Rafflesia|the tuatara|Boletus edulis
        """
    ),
    "event": _names(
        """
        the Battle of Dunmere Bridge|the Treaty of Kastelburg|the Siege of Zemgrad|the 1911 Karvala earthquake
        the Corrane ferry disaster|the Orrin Cup Final|Operation Glass Harrow|the Bellharbour Fire|the Salt Riots
        the 1974 Sarmandian presidential election|the Velloran Accord|the Battle of Ras Jamil|the Kingdom Games of 1936
        the Night of the Lanterns|the Second Halmark War|the Tremblay Mutiny|the Mossgate Mining Disaster
        the Open de Lenne|the Congress of Perekop|the Tarnovo Uprising|the 2003 Jalpur train collision
        the Quemado Landings|the Great Orford Flood|the Battle of the Three Fords|the Whitlow Regatta
        Copa Almendra 1988|the Peace of Rathenow|the Hollin County by-election|the Langstone Conference
        the Battle of Cape Desolation|the Vesk Crossing|the Raid on Sønderhavn|the Sunder Islands referendum
        the Winter Marathon of Kolobane|the Battle of Hastings|the Battle of Marengo|the Battle of Adwa
        the Treaty of Tordesillas|the Congress of Vienna|the Siege of Leningrad|the Boxer Rebellion
        the Battle of Lepanto|the Peace of Westphalia|the Falklands War|the Great Fire of London|the Halifax Explosion
        the 1906 San Francisco earthquake|the 1954 FIFA World Cup|the 1936 Summer Olympics|the Tour de France 1989
        the Hindenburg disaster|the Velvet Revolution|the Battle of Midway|Operation Overlord|the Bhopal disaster
        the Treaty of Versailles|the Battle of Gaugamela|the Suez Crisis|the Kronstadt rebellion|the Meiji Restoration
        the Eurovision Song Contest 1974|the Battle of Stirling Bridge
        """
    ),
    "vehicle": _names(
        """
        HMS Corrigan|USS Halberd|the Redfern R-40|SS Maid of Corrane|Kestrel 3|the Pemberton Twelve|the Zentral Z2
        HMCS Tremblay|Odyssey-B|the Tindall Roadster|the Kallas K9|SMS Reussen|INS Vedanta|the Hallstein rifle
        Polaris Star|Vesper 1|the Orrin Valley Class 4|MV Haukivesi|the Bonfanelli Falco|HNoMS Isfjell
        the Yamashiro Type 11|the Marsh Mk II|Lumen Probe|the Almirante Oquendo Real|the Brightwater flying boat
        Sparrowhawk 500|the Stanek machine pistol|RMS Velloran|USCGC Harrow|the Castellan tank|the Lobo 250 GT
        FS Clémence|the Dunmere tram|the Novaterra Lander|HMS Oswin|the Tessel paddle steamer|the Grafton Streamliner
        Corvid-7|the M31 Bulwark|HMS Victory|USS Monitor|the Cutty Sark|the Concorde|the Spitfire|the Citroën DS
        the Volkswagen Beetle|Sputnik 1|Voyager 2|Apollo 13|the Flying Scotsman|the T-34|the Kalashnikov|Vasa
        RMS Lusitania|the Boeing 747|the Trabant|the Hindenburg|Mir|the Space Shuttle Challenger|the Fokker Dr.I
        Cassini|the Shinkansen 0 Series|the Vespa|the Sopwith Camel|Rosetta|Yamato|the Mauser C96|the Ford Model T
        Kon-Tiki
        """
    ),
    "structure": _names(
        """
        Dunmere Bridge|Harrowden Hall|the Zemgrad Opera House|Corrane Lighthouse|St. Cuthwin's Church|Estadio Quemado
        Bellharbour Central|the Vallgren Tower|Mossgate Primary School|the Lenne Viaduct|Karvala Town Hall
        Ras Jamil Mosque|Kastelburg Castle|Tremblay Dam|the Old Customs House|Whitlow Pier|the Orrin Valley Sanatorium
        Palazzo Ferruccio|Hartmoor Library|Point Desolation Light|Perekop Stadium|Amberley Junction station
        Sønderhavn Cathedral|the Langstone Memorial|Jalpur Fort|the Sundial Building|Kuroshima Shrine|Pellinger House
        the Halmark Aqueduct|Oakley Street Synagogue|Saint-Aubry Abbey|Tarrach Windmill|the Meridian Arena
        Kirkwhistle Mill|Lobo Park|the Isfjellet Tunnel|Pruett High School|the Brick Observatory|Orford Gaol
        Hollin County Courthouse|Ban Nong Temple|the Alhambra|the Eiffel Tower|Hagia Sophia|the Golden Gate Bridge
        Anfield|Camp Nou|the Parthenon|Fallingwater|the Forth Bridge|Angkor Wat|Neuschwanstein Castle
        the Chrysler Building|Waterloo station|Fenway Park|the Maracanã|Eton College|Notre-Dame de Paris|the Hoover Dam
        Sagrada Família|the Burj Khalifa|Grand Central Terminal|Petra Monastery|Eddystone Lighthouse|the Atomium
        Borobudur
        """
    ),
    "astro": _names(
        """
        Harkness 12|Vallgren's Comet|4417 Omodeo|the Corrigan Nebula|Beta Velloris|HV 20931|Tessara|the Lantern Galaxy
        61203 Karvala|Zeta Sarmandis|Comet Ishikawa-Brandt|Kallas b|the Harrow Cluster|Rho Pellinger|2M 0917-44|Quemado
        V733 Aquarii|the Thimble Nebula|8802 Drozdek|Gamma Orrini|Comet Porokhova|NGC 8127|Lenne's Star|Kepler-2209 c
        the Salt Ring|11562 Bankole|Theta Dunmeris|Achterberg 4|the Broken Wheel Galaxy|Comet Stanek|DX Lyrae
        3391 Ottoline|the Moth Nebula|Sigma Halmark|Ariel|Betelgeuse|Vega|Proxima Centauri|Ceres|433 Eros
        Halley's Comet|the Andromeda Galaxy|the Crab Nebula|Titan|Ganymede|Pluto|Sirius B|Barnard's Star|Triton
        Aldebaran|the Pleiades|Epsilon Eridani|Vesta|Comet Hale-Bopp|Messier 87|the Sombrero Galaxy|Phobos|Sedna
        Antares|Cygnus X-1|Mizar|Haumea|Tau Ceti|Rigel|the Horsehead Nebula|Miranda
        """
    ),
    "code": _names(
        """
        PLV2|Garnet BASIC|the dunmerin family|.qbook|sylvase II|HALK4|Tern OS|Woodlark|VLG7|ORRN2|harkin kinase|TSX4B
        Karva|Quill/3|DunmereOS|pellin|Zemlib|tarnase|BRX1|.mossx|corrin alpha|LenneScript|Haukix|sundOS|KLV11
        Halmark DB|the velloran receptor|omodein|Thimble Linux|PRK-beta|.ledger format|MARN3|Stanek Pascal|cuthwinase
        QMD1L|Larkspur|Nightjar|Brasso|OSTR6|Kolibri Script|.vpk3|the Perek protein|Merrowtext|FRYN|tidelib|AchtBase
        sarmatin|Copperplate|BRCA1|TP53|insulin receptor|haemoglobin|CFTR|FOXP2|keratin|amylase|myosin|HTT|APOE|titin
        trypsin|Fortran|COBOL|Erlang|Haskell|Smalltalk|Perl|Ruby|Kotlin|Prolog|Scheme|Debian|FreeBSD|OS/2|BeOS|NetBSD
        Haiku OS|PNG|PDF|FLAC|Ogg Vorbis|TIFF|SVG|LibreOffice|GIMP|Blender|VLC|Emacs|PostgreSQL|Inkscape|Audacity
        MS-DOS|Minix
        """
    ),
}

# What people ask about anything, whatever its kind.
_GENERIC = _relations(
    """
    @tell_me_about
    Can you tell me something about {}?|What do you know about {}?|What should everyone know about {}?
    I have heard of {}, what is there to say?|{}: what is that all about?|Here is a short introduction to {}:
    In a few words, {} can be described as|Write a paragraph on {}.|Give me an overview of {}.
    @where_to_read_more
    Which books or websites have more on {}?|Where do I find further reading on {}?
    Is there a good article about {}?|Could you recommend a source about {}?
    I want to learn more on {}, where do I look?|A good place to read about {} is|To find out more about {}, see
    Recommend something to read on {}.
    @why_famous
    Why is {} famous?|What is {} best known for?|What makes {} so special?|How come people talk about {}?
    {} owes its fame to what?|{} is best known for|People remember {} because of|Explain the fame of {}.
    @picture
    Do you have a picture of {}?|Where can I see an image of {}?|Can you show me a photo or drawing of {}?
    I need a portrait or a photograph of {}, is there one?|{} photo, where?|A good picture of {} is found at
    Images of {} are collected on|Show me {} in a picture.
    @appearance
    What does {} look like?|How would I recognise {} at first sight?|{} has what kind of looks?
    By which outward features is {} known?|Seen from outside, what strikes one about {}?|{} looks like
    The appearance of {} can be described as|Describe how {} looks.
    @how_is_it_spelled
    How is {} spelled?|How do you write "{}" correctly?|Is "{}" the right spelling?|Did I spell {} right?
    With which letters does one write {}?|The name {} is spelled|Letter by letter, {} is written|Spell {} for me.
    @translate_name
    What is {} called in French?|How do you say {} in French?|Does {} have another name in French?
    How would a Frenchman call {}?|{} has what name among speakers of French?|The French name for {} is
    In French, {} is called|Translate the name {} into French.
    @pronounce
    How do you pronounce {}?|What is the right way to say "{}" aloud?|{}, how is that spoken?
    Can you give me the pronunciation of {}?|What sounds make up the name {}?|{} is pronounced
    Said aloud, the name {} sounds like|Write {} in phonetic script.
    @opinion
    Do you like {}?|What is your opinion of {}?|What do you think about {}?|{}, good or bad, in your view?
    How do you personally feel about {}?|My opinion of {} is|Personally, I find {}|Give your honest view of {}.
    @likes
    Who likes {}?|Which people are fans of {}?|{} is popular with whom?
    Among what kind of people does {} find friends?|By whom is {} loved?|{} is mostly loved by
    The biggest fans of {} are|Name a fan of {}.
    @quiz
    Can you make a quiz about {}?|What would be a hard question about {}?|What could I ask my pupils on {}?
    Which trivia questions could be built on {}?|{} is the topic of my quiz, what do I ask?
    A good quiz question about {} would be|On the test about {}, pupils were asked|Make up a riddle about {}.
    @poem
    Can you write a poem about {}?|Would you put {} into verse?|How would a song about {} begin?
    What would a poet say of {}?|{} in rhyme, how would that go?|My poem about {} begins with the words
    Here are two lines of verse for {}:|Write a limerick on {}.
    @for_children
    How would you explain {} to a child of five?|What could I tell my little daughter about {}?
    In words that a child understands, what about {}?|Which simple words fit {} for a class of six-year-olds?
    {} for kids, how do I put it?|For children, the simplest way to explain {} is
    Dear children, today we learn that {}|Explain {} so that a small child gets it.
    """
)

# The same for what has no birthday.
_GENERIC_AGE = _relations(
    """
    @how_old
    What is the age of {}?|How many years old would {} be now?|Is {} old or rather new?|{} has what age today?
    how old {}|The age of {} is|Counted in years, {} is as old as|Estimate how old {} is.
    """
)

RELATIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "person": _relations(
        """
        @date_of_birth
        When was {} born?|What is the date of birth of {}?|{} came into the world in which year?
        Do you know on what day {} was born?|Can you tell me when {}'s birthday is?|birth date {}|{} was born on
        The year in which {} was born is|Give the date on which {} was born.
        @place_of_birth
        Where was {} born?|In which town did {} come into the world?|Which place is the birthplace of {}?
        Can you tell me the city that {} was born in?|{} is a native of which place?
        Which was the place that {} was born in?|{} was born in the city of|The birthplace of {} is
        Name the place where {} was born.
        @date_of_death
        When did {} die?|What was the date of the death of {}?|In which year did {} pass away?|{} lived until when?
        I'd like to know on what day {} died, can you help?|{} died on|The death of {} came in the year
        State the year of {}'s death.
        @place_of_death
        Where did {} die?|What is the name of the place in which {} passed away?|In what city did the life of {} end?
        {} lost their life in which town?|Any idea where {} was at the time of death?|{} passed away in
        The place where {} died is|At the end of a long life, {} died in|Name the city where {} died.
        @cause_of_death
        What did {} die of?|How did {} die?|Which illness or accident killed {}?|{}'s death was caused by what?
        Do we know why {} died?|What was the thing that caused the death of {}?|{} died of|The cause of death of {} was
        State what {} died from.
        @burial_place
        Where is {} buried?|Which cemetery holds the grave of {}?|{} was laid to rest at what location?
        Where can I find the tomb of {}?|The remains of {} are kept in which place?|{} lies buried in
        The grave of {} is in|Name the burial place of {}.
        @occupation
        What was the occupation of {}?|What did {} do for a living?|Which profession did {} have?
        Can you tell me what job {} had?|{} earned a living as a|The profession of {} is|By trade, {} is a
        {}, who works as a|Name the profession of {}.
        @employer
        Who did {} work for?|Which company employed {}?|By whom was {} employed?
        {} was on the payroll of what organisation?|Do you know the company or institute where {} has a job?
        What is the name of the employer of {}?|{} was employed by|The employer of {} is|Name the employer of {}.
        @spouse
        Who was {} married to?|What is the name of the spouse of {}?|Which person did {} marry?
        {} was the husband or wife of whom?|Do you happen to know who {}'s partner in marriage was?|To whom was {} wed?
        {} was married to|The spouse of {} is|Name the person {} married.
        @father
        Who was the father of {}?|What was the name of {}'s dad?|{} was fathered by which man?
        Which man is the male parent of {}?|Can you tell me whose son or daughter {} was on the father's side?
        {} father name|The father of {} is|{} was a child of the man called|Give the name of {}'s father.
        @mother
        Who was the mother of {}?|What was {}'s mum called?|Which woman gave birth to {}?
        {} was the child of what woman?|Could you say who {}'s mother is?|mother of {} name|The mother of {} is
        The woman who gave birth to {} was|Name {}'s mother.
        @child
        Who is a child of {}?|What are the names of {}'s children?|Did {} have a son or a daughter, and who?
        Of which person was {} the parent?|Whom did {} bring up as their own child?|Which is the child that {} had?
        The child of {} is|{} was the parent of|Name a son or daughter of {}.
        @sibling
        Who is the sibling of {}?|Which person is a brother or sister of {}?|{} shares parents with whom?
        Did {} have any brothers or sisters, and what were they called?|Whose brother or sister was {}?
        {} grew up together with a sibling named|The sibling of {} is|sibling of {}|Name a brother or sister of {}.
        @education
        Where did {} study?|What university did {} attend?|Which school was {} educated at?
        {} was a student of what institution?|Can you tell me where {} got a degree?|{} alma mater|{} was educated at
        {} graduated from|Name the university of {}.
        @native_language
        What was the native language of {}?|Which language did {} grow up with?|What was {}'s mother tongue?
        As a child, {} spoke which language at home?|The mother tongue of {} is|{} is a native speaker of
        The first language {} learned was|{}, a native speaker of|Name the mother tongue of {}.
        @languages_spoken
        Which languages does {} speak?|What language does {} use in writing or speech?
        In which languages could one talk with {}?|{} communicated in what language?
        Is it known what tongues {} can express themselves in?|{} speaks|{} wrote and spoke in
        The language used by {} is|List the languages known to {}.
        @religion
        What religion did {} follow?|What faith did {} belong to?|Which church or creed was {} a member of?
        {} is a believer in what?|Can you tell me the religious affiliation of {}?|The religion of {} is
        In matters of faith, {} is a follower of|{} practised the religion called|State the religion of {}.
        @citizenship
        Which country was {} a citizen of?|What is the nationality of {}?|What country does {} come from?
        Do you know of which state {} is a national?|{} is a citizen of|The nationality of {} is
        {} holds citizenship from the country of|{}, who is a citizen of|Name the country of citizenship of {}.
        @instrument
        What instrument did {} play?|Which musical instrument is {} known for playing?|On stage {} usually plays what?
        What was played by {} in concerts?|Do you know the instrument of {}?|{} plays the
        The instrument {} performs on is the|{}, a virtuoso of the|Name the instrument played by {}.
        @record_label
        Which record label was {} signed to?|What label releases the music of {}?|Who published {}'s records?
        {} is under contract with what recording company?|What was the name of the record company that {} recorded for?
        What record label is it that {} records for?|{} is signed to|The records of {} are released by
        Name the label of {}.
        @position_held
        What position did {} hold?|Which office was held by {}?|What was the public post of {}?
        {} served in what political or official role?|To what office was {} elected or appointed?
        The position held by {} is which?|{} held the office of|{} was appointed to the position of
        Name the office that {} held.
        @political_party
        Which political party did {} belong to?|What party was {} a member of?|{} ran in elections for which party?
        In politics, whose party card did {} carry?|Can you tell me the political affiliation of {}?
        {} is a member of the party called|The political party of {} is|Name the party of {}.
        @sports_team
        Which team did {} play for?|What club has {} been a player of?|{} wore the shirt of what team?
        Which side signed {} as a player?|Do you know the club of {}?|what team is {} on|{} plays for|The team of {} is
        Name a team that {} played for.
        @league
        In which league does {} play?|What league was {} a part of?|{} competes at what level of the sport?
        Which professional league had {} among its players?|Do you know what league {} appears in?
        What is the name of the league in which {} plays?|{} plays in the league called
        The league in which {} competes is|Name the league of {}.
        @position_played
        What position does {} play?|Where on the field does {} usually play?|{} takes which playing role in the team?
        Which was the position that {} played on the pitch?
        Does anyone know if {} is a defender, forward or something else?|On the field, {} plays as a
        The playing position of {} is|{}, who plays the position of|State the playing position of {}.
        @sport
        What sport did {} practise?|Which sport is {} known for?|{} competed in what discipline?
        In what kind of sport did {} make a career?|Can you say what {} played professionally?
        {} is a professional in the sport of|The sport of {} is|{}, the professional player of|Name the sport of {}.
        @award
        What award did {} receive?|Which prize was given to {}?|What is the name of the honour that {} won?
        {} was the winner of which award?|With what prize was the work of {} recognised?
        What is the name of the award that {} got?|{} was awarded the|The prize won by {} is the
        Name an award won by {}.
        @residence
        Where did {} live?|In which city does {} have a home?|What is the place of residence of {}?|{} resided where?
        Can you tell me where {}'s house was?|{} lives in|The home of {} is in|{} residence where
        Name the town that {} lived in.
        @work_location
        In what city did {} work?|Where was {} professionally active?|Which town was the workplace of {}?
        {} was working from what place?|Do you know in which city {} pursued a career?|{} worked in the city of
        The city in which {} was active is|{} found work in|Name the city where {} was employed.
        @musical_genre
        What genre of music does {} play?|Which style is {} known for as an artist?|What kind of music is made by {}?
        {} belongs to what musical genre?|How would one classify the sound of {}?|{} plays music in the style of
        The genre of {} is|{}, known for performing|Name the musical style of {}.
        @notable_work
        What is the best-known work of {}?|Which book, song or picture made {} well known?
        What was created by {} that people still remember?|{} is the maker of which famous piece?
        Do you know the masterpiece of {}?|Which work was it that {} became famous with?|The most famous work of {} is
        {} is the creator of|Name a major work by {}.
        @field_of_work
        What field did {} work in?|Which science or art did {} specialise in?|{} is an expert in what domain?
        In what area are the contributions of {}?|What was the subject that {} did research on?
        {} works in the field of|The area of expertise of {} is|The domain of activity of {} is|Name the field of {}.
        @teacher
        Who taught {}?|Which person was the teacher of {}?|{} was a pupil of whom?|Under whom did {} study?
        Who supervised the doctoral thesis of {}?|{} was taught by|The teacher of {} was
        Name the teacher or advisor of {}.
        @military_branch
        Which branch of the military did {} serve in?|What armed force was {} part of?
        {} was a soldier in what service?|In which service did {} wear a uniform?
        Can you say whether {} was in the army, the navy or something else?
        What is the name of the military branch that {} was in?|{} served in the|The military branch of {} was the
        Name the armed force that {} belonged to.
        @conflict
        Which war did {} fight in?|In what conflict did {} take part?|{} saw action during which war?
        What was the war in which {} was engaged?|Do you know the war that {} went through?|{} fought in what war?
        {} fought in|The war in which {} served was|Name a conflict that {} took part in.
        @pseudonym
        What pseudonym did {} use?|Under which other name is {} known?|{} goes by what nickname?
        What is the stage name or pen name of {}?|Is there a name that {} hid behind?|{} is also known as
        The nickname of {} is|State the alias of {}.
        @sex_or_gender
        Is {} a man or a woman?|What is the gender of {}?|Which sex is {}?|{} is of what gender?
        Should one write "he" or "she" for {}?|The gender of {} is|As to sex, {} is|State whether {} is male or female.
        @noble_family
        Which noble family did {} belong to?|What house or dynasty was {} a member of?|{} descends from what family?
        From which clan did {} come?|Can you tell me the dynasty of {}?|What is the name of the family that {} is from?
        {} belonged to the house of|The family that {} was part of is|Name the dynasty of {}.
        @influenced_by
        Who influenced {}?|Which thinker or artist did {} take ideas from?|By whom was {} inspired?
        {} was shaped by the work of what person?|Whose follower was {}?|{} was influenced by
        A great inspiration for {} was|Name someone who influenced {}.
        @vocal_range
        What is the vocal range of {}?|Which voice type does {} have?|{} sings in what register?
        Is {} a soprano, a tenor, or some other voice?|As a singer, what is {}'s kind of voice?|{} sings as a
        The voice type of {} is|State the voice type of {}.
        @height
        How tall is {}?|What is the height of {}?|{} measures how much from head to toe?
        Do you know how many centimetres tall {} was?|What body height does {} have?|The height of {} is
        {} stands at a height of|State how tall {} is.
        @how_old
        What is the age of {}?|How many years old would {} be now?|Is {} old or rather young?|{} is what age now?
        how old {}|The age of {} is|If alive today, {} would have reached the age of|Calculate how old {} is today.
        @likes_own
        What does {} like?|Which hobbies does {} have?|What are {}'s favourite things?|{} enjoys doing what?
        Is there anything {} cannot stand?|In the evening, {} likes to|What {} loves most is|List the interests of {}.
        @contact
        How can I get in touch with {}?|Is there an address of {} to write to?|Can I send {} a letter?
        By what phone number or e-mail can I contact {}?|{} can be reached where?|The address of {} is
        To contact {}, write to|Give me the contact details of {}.
        """
    )
    | _GENERIC,
    "place": _relations(
        """
        @country
        Which country is {} in?|In what country does {} lie?|{} belongs to which nation?
        What is the name of the country where {} can be found?
        Could you tell me what country I have to travel to for {}?|{} is located in the country of
        The country that {} belongs to is|{}, located in|Name the country of {}.
        @continent
        Which continent is {} on?|{} is part of what continent?|On what continent would I find {}?
        In which part of the world does {} lie?|Do you know the continent that {} belongs to?
        {} belongs to the continent of|The continent on which {} lies is|{} is a place in|Name the continent of {}.
        @capital
        What is the capital of {}?|Which city is the capital of {}?|{} has what city as its capital?
        From which city is {} governed?|Where does the government of {} sit?|capital city {}|The capital of {} is
        {} is ruled from its capital,|Name the capital of {}.
        @official_language
        What is the official language of {}?|Which language is used by the authorities of {}?
        In {}, laws are written in what language?|What do they speak officially in {}?
        What tongue must a civil servant in {} know?|The official language of {} is|In {}, people officially speak
        The language used officially in {} is|Name the official language of {}.
        @currency
        What currency is used in {}?|What is the money of {} called?|With which coins and notes does one pay in {}?
        {} uses what as legal tender?|What should I change my money into for a trip to {}?
        What is the name of the currency of {}?|The currency of {} is the|In {}, prices are given in
        Name the currency of {}.
        @population
        How many people live in {}?|What is the population of {}?|{} has how many inhabitants?
        How large is the number of residents of {}?|Do you have a population figure for {}?|population {}
        The population of {} is|{} is home to a number of people that comes to|State the number of inhabitants of {}.
        @head_of_government
        Who governs {}?|What is the name of the head of government of {}?|Which person leads the government of {}?
        {} is led by what politician?|Who is the mayor, governor or prime minister of {}?
        The head of government of {} is|{} is governed by|mayor or head of {}|Name the leader of {}.
        @twin_city
        What is the twin city of {}?|Which place is {} twinned with?|{} has a partnership with what town?
        With which city does {} have sister-city ties?|Does {} have a partner town, and which?|{} is twinned with
        The sister city of {} is|What is the twin city of the place {}? It is|Name a twin town of {}.
        @river_mouth
        Where does {} flow into the sea or another river?|What body of water does {} empty into?
        {} ends in which body of water?|Into what does the water of {} finally run?
        Which is the mouth of the watercourse called {}?|Which is the body of water that {} goes into?|{} flows into
        The mouth of {} is in|Name the water that {} discharges into.
        @lake_outflow
        What river flows out of {}?|Which stream drains {}?|The outflow of {} is what?|By which river is {} drained?
        Through what does the water leave {}?|{} is drained by|The water of {} leaves through the river
        {} outflow river|Name the outflow of {}.
        @river_source
        Where does {} rise?|What is the source of {}?|{} has its origin in which place?
        In what mountains or lake does {} begin?|From where does the water of {} come?|{} rises in|The source of {} is
        Name the source of {}.
        @tributary
        What is a tributary of {}?|Which river flows into {}?|{} is fed by what stream?
        What waters join {} along its way?|Do you know any river that empties into {}?|{} receives the waters of
        A tributary of {} is the|Name a tributary of {}.
        @river_through
        What river flows through {}?|On which river does {} lie?|{} sits on the banks of what water?
        The waterway that runs across {} is called what?|Which body of water is {} next to?|{} lies on the river
        The river that crosses {} is the|Name the river at {}.
        @mountain_range
        Which mountain range is {} part of?|What mountains does {} belong to?|{} is located in what range?
        In which chain of mountains is {} found?|What is the name of the range around {}?
        What is the name of the mountain range that {} is a part of?|{} belongs to the range called
        The mountain range of {} is the|Name the mountain range that {} is in.
        @located_in
        In which region is {}?|What administrative unit is {} located in?|{} lies in what state, province or county?
        Which district does {} belong to?|To what region would a map assign {}?
        What is the name of the territory that {} is located in?|{} is in the province of|{} is a part of the region of
        Name the region that {} is part of.
        @borders
        What does {} border on?|Which territory lies next to {}?|{} shares a border with what?
        What are the neighbours of {}?|When I leave {}, which country or district do I enter?
        Which is the neighbour that {} has a border with?|{} shares a border with|Right next to {} lies
        Name a neighbour of {}.
        @elevation
        How high is {}?|What is the elevation of {}?|{} lies how many metres above sea level?|At what altitude is {}?
        What height does {} reach?|The elevation of {} is|{} rises above the sea by|State the altitude of {}.
        @area
        What is the area of {}?|How large is {}?|{} covers how many square kilometres?
        How much land or water does {} take up?|What surface does {} have?|The area of {} is|{} covers a surface of
        State the size of {} in square kilometres.
        @named_after
        What is {} named after?|Where does the name {} come from?|{} owes its name to whom or what?
        Who or what gave {} its name?|Why is {} called that?|What is the person or thing that {} was named for?
        {} was named after|The name {} goes back to|Explain the origin of the name {}.
        @inception
        When was {} founded?|In what year was {} settled or established?|{} dates from which year?
        How far back does the history of {} go?|What is the founding date of {}?|{} was founded in the year
        The history of {} began in|State when {} was established.
        @founder
        Who founded {}?|By whom was {} established?|{} was settled by which people?
        Which person or tribe built the first houses of {}?|To whom does {} owe its existence?
        The founder of {} was which person?|{} was founded by|The founder of {} is|Name the founder of {}.
        @time_zone
        What time zone is {} in?|Which time do the clocks in {} show?|{} belongs to which time zone?
        How many hours ahead or behind is {}?|What is the offset from UTC in {}?|The time zone of {} is
        Clocks in {} are set to|State the time zone of {}.
        @highest_point
        What is the highest point of {}?|Which mountain is the tallest in {}?|{} has what as its highest peak?
        What summit stands above all others in {}?|Where in {} is one furthest above the sea?
        What is the name of the highest point of {}?|The highest point of {} is|The top of {} is called
        Name the highest mountain of {}.
        @airport
        Which airport serves {}?|What is the main airport of {}?|Where do planes to {} land?
        {} is reached by air through what airport?|I want to fly to {}, what airport do I book?
        The airport of {} is called|Planes bound for {} land at|Name the airport of {}.
        @anthem
        What is the anthem of {}?|Which song is sung as the hymn of {}?|{} has what piece of music as its anthem?
        What is played when {} wins a medal?|Do you know how the official song of {} is called?|The anthem of {} is
        On festive days, {} sings|Name the anthem of {}.
        @patron_saint
        Who is the patron saint of {}?|Which saint watches over {}?|{} is under the protection of what saint?
        To what holy person is {} dedicated?|Whose feast is celebrated in {}?|The patron saint of {} is
        {} is protected by Saint|Name the patron saint of {}.
        @climate
        What is the climate of {} like?|Which kind of weather does {} have?|{} has what type of climate?
        How warm or cold does it get in {}?|Do I need an umbrella or a coat in {}?|The climate of {} is
        In winter, the weather in {} is|Describe the climate of {}.
        @economy
        What does {} live on?|Which industry is most important for {}?|{} exports what goods?
        What is the economy of {} based on?|How do people in {} make their money?|The main export of {} is
        The economy of {} depends on|Name the chief product of {}.
        @famous_inhabitant
        Who comes from {}?|Which well-known person was born in {}?|{} is the home town or country of what celebrity?
        What famous people have lived in {}?|Of whom is {} proud?|A famous native of {} is|{} is the birthplace of
        Name a person from {}.
        @sights
        What should I see in {}?|Which sight of {} is worth a trip?|{} attracts visitors with what?
        Where do tourists in {} go first?|What is there to do at {}?|The main sight of {} is
        Visitors to {} should not miss|Name a tourist attraction in {}.
        @local_food
        What food is typical of {}?|Which dish comes from {}?|{} is known for what speciality?
        What do people eat in {}?|If I dine in {}, what should I order?|A traditional dish from {} is
        The cooks of {} are known for|Name a dish from {}.
        """
    )
    | _GENERIC
    | _GENERIC_AGE,
    "organisation": _relations(
        """
        @headquarters
        Where is {} based?|In which city is the head office of {}?|{} has its headquarters in what place?
        What is the name of the town from which {} is run?|Could you tell me the seat of {}?
        The headquarters of {} is in|{} is based in the city of|{}, whose head office is in
        Name the city that hosts the head office of {}.
        @founder
        Who founded {}?|By whom was {} started?|{} was set up by which person?|Whose idea was it to create {}?
        What is the name of the person who established {}?|{} was founded by|The founder of {} is|{}, founded by
        Name the founder of {}.
        @inception
        When was {} founded?|In what year did {} start?|{} has existed since when?|What was the founding year of {}?
        Do you know how long ago {} was set up?|founding date {}|{} was founded in the year
        The founding of {} took place in|Give the year in which {} was established.
        @dissolved
        When was {} dissolved?|In which year did {} cease to exist?|{} closed down when?|What was the end date of {}?
        Until what year did {} carry on?|What was the year that {} was ended?|{} was dissolved in
        {} went out of business in the year|State when {} came to an end.
        @parent_company
        What is the parent company of {}?|Which group does {} belong to?|{} is a subsidiary of what firm?
        What bigger organisation stands above {}?|Is {} part of a larger group, and which?
        The organisation {} is owned by what company?|{} is a subsidiary of|The parent company of {} is
        Name the group that {} belongs to.
        @subsidiary
        What is a subsidiary of {}?|Which companies belong to {}?|{} controls what smaller firms?
        What brands or daughter companies are run by {}?|Of which firm is {} the parent?
        What is the name of the company that {} owns?|{} is the parent company of|A subsidiary of {} is
        Name a company controlled by {}.
        @owner
        Who owns {}?|To whom does {} belong?|{} is the property of which person or group?
        In whose hands are the shares of {}?|Can you tell me the proprietor of {}?|{} is owned by|The owner of {} is
        {}, a possession of|Name the owner of {}.
        @chief_executive
        Who is the chief executive of {}?|Which person runs {}?|{} is managed by whom?
        What is the name of the CEO of {}?|Who has the top job at {}?|ceo {}|The chief executive of {} is|{} is run by
        Name the boss of {}.
        @chairperson
        Who chairs {}?|What is the name of the president of {}?|{} has whom as its chairperson?
        Which person sits at the head of the board of {}?|By whom are the meetings of {} presided over?
        The chair of {} is|{} is presided over by|chairman of {}|Name the president of {}.
        @industry
        Which industry is {} in?|What line of business does {} follow?|{} is active in what sector?
        In what trade does {} earn its money?|To which branch of the economy does {} belong?
        The organisation {} works in what industry?|{} operates in the industry of|The business of {} is
        State the sector of {}.
        @product
        What does {} make?|Which product is {} known for?|{} sells what to its customers?
        What goods or services are offered by {}?|If I buy something from {}, what is it?|{} is known for producing
        The main product of {} is|{} creates|Name a product of {}.
        @country
        Which country is {} from?|In what country did {} originate?|{} is an organisation of what nation?
        What is the home country of {}?|From where in the world does {} come?|{} is an organisation from
        The home country of {} is|{}, that originated in|Name the country of origin of {}.
        @formation_place
        Where was {} founded?|In which city did {} get started?|{} was formed in what place?
        What town saw the beginnings of {}?|Do you know where it all began for {}?|{} was founded in the city of
        The place where {} was formed is|{} originated in|Name the place where {} began.
        @home_venue
        Where does {} play its home matches?|Which stadium or hall is the home of {}?
        {} hosts its guests at what venue?|What is the name of the ground used by {}?
        To see {} at home, what venue do I go to?|What is the name of the stadium that {} plays in?
        {} plays its home games at|The home venue of {} is|Name the home ground of {}.
        @league
        Which league does {} play in?|In what competition does {} take part?|{} competes in what division?
        What league counts {} among its teams?|At which level is {} playing this season?
        What league is it that {} belongs to?|{} plays in the league called|The league of {} is
        Name the league that {} is in.
        @head_coach
        Who coaches {}?|What is the name of the manager of the team {}?|{} is trained by whom?
        Which coach tells the players of {} what to do?|Under whom does {} train?|The head coach of {} is
        {} is coached by|head coach {} current|Name the coach of {}.
        @employees
        How many people work for {}?|What is the size of the staff of {}?|{} has how many employees?
        How big is the workforce of {}?|Is {} a large employer, and how large?|The number of employees of {} is
        {} gives work to|State how many workers {} has.
        @motto
        What is the motto of {}?|Which slogan does {} use?|{} advertises itself with what words?
        What phrase stands under the emblem of {}?|Do you know the catchphrase of {}?|The motto of {} is
        {} uses the slogan|Quote the motto of {}.
        @members
        Who is a member of {}?|Which persons or countries belong to {}?|{} counts whom among its members?
        What are the names of the people in {}?|Of whom is {} made up?|A member of {} is|{} has among its members
        Name a member of {}.
        @political_ideology
        What political ideology does {} stand for?|Where on the political spectrum is {}?|{} advocates what ideas?
        Which creed or world view is promoted by {}?|Is {} left-wing or right-wing?|The ideology of {} is
        In politics, {} stands for|State the political position of {}.
        @colours
        What are the colours of {}?|Which colours does {} wear?|{} appears in what colours?
        What colour is the logo or shirt of {}?|By which colours do I recognise {}?|The colours of {} are
        {} is easily known by its|Name the colours of {}.
        @hub
        Which airport is the hub of {}?|From what airport does {} mainly fly?|{} has its base at which airport?
        What is the main airport used by {}?|Where do most flights of {} take off?
        The airport hub for the airline {} is what?|The hub of {} is|{} flies mainly from|Name the hub airport of {}.
        @music_genre
        What kind of music does {} release or perform?|Which musical genre is {} associated with?
        {} specialises in what style of music?|What genre is heard from {}?
        How would you label the music that comes from {}?|The musical genre of {} is
        {} is associated with the music called|Name the genre of music of {}.
        @named_after
        Who or what is {} named after?|Where does {} get its name?|The name of {} comes from what?
        What does the name {} stand for?|In whose honour was {} given its name?|{} was named after
        The name {} comes from|Explain why {} has that name.
        @broadcast_area
        Which area does {} serve?|Where is {} active?|{} operates in what part of the world?
        In what countries or regions can one find {}?|How far does the reach of {} go?|{} is active in the region of
        The area served by {} is|State the area in which {} operates.
        @revenue
        How much money does {} make?|What is the revenue of {}?|{} earns what sum in a year?
        What are the yearly sales of {}?|How large are the takings of {} per year?|The yearly revenue of {} is
        Last year {} earned|State the turnover of {}.
        @official_language
        Which language does {} work in?|What is the official language of {}?|{} uses what language for its business?
        In which language does {} publish?|Can you say what tongue is spoken within {}?|The working language of {} is
        {} publishes its documents in|Name the language used by {}.
        """
    )
    | _GENERIC
    | _GENERIC_AGE,
    "work": _relations(
        """
        @author
        Who wrote {}?|Which author is behind {}?|By whom was {} written?|{} is the work of what writer?
        What is the name of the person who authored {}?|{} author|{} was written by|The author of {} is
        Name the author of {}.
        @creator
        Who created {}?|{} was made by whom?|Which artist is responsible for {}?|What is the name of the creator of {}?
        Whose work is {}?|What is the name of the artist who made {}?|{} was created by|The creator of {} is
        Name the artist behind {}.
        @director
        Who directed {}?|Which director made {}?|{} was filmed under whose direction?
        What is the name of the director of {}?|Who sat in the director's chair for {}?|directed by {} who
        {} was directed by|The director of {} is|Name the director of {}.
        @composer
        Who composed {}?|By whom was the music of {} written?|{} has a score by which composer?
        What is the name of the person who wrote the music for {}?|Which musician set {} to music?
        The music of {} was composed by|The composer of {} is|{} composer|Name the composer of {}.
        @performer
        Who sang {}?|Which band or singer recorded {}?|{} is performed by what artist?|By whom is {} sung or played?
        What is the name of the artist on {}?|The artist of {} is who?|{} was recorded by|The performer of {} is
        Name the singer or group behind {}.
        @lyricist
        Who wrote the lyrics of {}?|The words of {} are by whom?|Which poet supplied the text for {}?
        What is the name of the lyricist of {}?|Who came up with the words sung in {}?|The lyrics of {} were written by
        The words to {} came from|Name the writer of the text of {}.
        @screenwriter
        Who wrote the screenplay of {}?|By which screenwriter was {} scripted?|{} has a script by whom?
        What is the name of the person who wrote the script of {}?|Who put the dialogues of {} on paper?
        Which was the screenwriter for {}?|The screenplay of {} was written by|The screenwriter of {} is
        Name the scriptwriter of {}.
        @producer
        Who produced {}?|Which producer worked on {}?|{} was produced by whom?
        Who was in charge of the production of {}?|What is the name of the producer behind {}?
        Which person was the producer on {}?|{} was produced by|The producer of {} is|Name the producer of {}.
        @production_company
        Which company produced {}?|What studio made {}?|{} came out of which studio?
        By what production company was {} made?|Do you know which studio stands behind {}?
        The work {} was made by what studio?|{} was produced by the company|The studio that made {} is
        Name the production company of {}.
        @cast_member
        Who starred in {}?|Which actor or actress appears in {}?|{} features whom in a main role?
        What are the names of the actors in {}?|By whom was the lead in {} played?|{} stars
        The leading role in {} was played by|cast of {}|Name an actor in {}.
        @publisher
        Who published {}?|Which publishing house brought out {}?|{} appeared with what publisher?
        By what company was {} published?|What is the name of the publisher of {}?
        The work {} was published by what company?|{} was published by|The publisher of {} is|Name the publisher of {}.
        @publication_date
        When was {} published?|In what year did {} come out?|{} was released when?|What is the release date of {}?
        How long ago did {} first appear?|{} release year|{} was released in|The year in which {} appeared is
        Give the date on which {} came out.
        @original_language
        What is the original language of {}?|In which language was {} first written or shot?
        {} was made in what language?|Before translation, {} was in which tongue?
        What do they speak in the original version of {}?|The language of {} is which?|The original language of {} is
        {} was first written in|Name the language of {}.
        @original_network
        On which channel did {} first air?|What network broadcast {}?|{} was shown on what TV channel?
        By which broadcaster was {} first put on the air?|Where on television was {} to be seen?
        {} was originally aired on|The network that first showed {} is|{} debuted on
        Name the channel that premiered {}.
        @series
        What series is {} part of?|To which cycle or franchise does {} belong?|{} is an instalment of what series?
        Which saga includes {}?|Is {} one of several parts, and of what?|The work {} is from which series?
        {} is part of the series|The series that includes {} is|Name the series of {}.
        @character
        Who is the main character of {}?|Which characters appear in {}?|{} tells the story of whom?
        What is the hero of {} called?|About which person is the plot of {}?|What is the name of the character in {}?
        The main character of {} is|The hero of {} is called|Name a character from {}.
        @based_on
        What is {} based on?|Which book or story does {} adapt?|{} is an adaptation of what?
        What was the source material for {}?|From what was the plot of {} taken?|{} is based upon what work?
        {} is based on|The source of {} is|Name the work that {} is adapted from.
        @narrative_location
        Where is {} set?|In which place does the story of {} happen?|{} takes place in what city or country?
        What is the setting of {}?|To what place does {} take its audience?|The work {} is set in which place?
        {} is set in|The story of {} takes place in|Name the setting of {}.
        @set_in_period
        In what period is {} set?|At which time does the story of {} happen?|{} takes place in what century or year?
        What era does {} show?|During which age does the plot of {} unfold?|{} is set in the time of
        The story of {} happens in the year|State the era in which {} is set.
        @genre
        What genre is {}?|To which genre does {} belong?|{} is what kind of work?|How would a shop label {}?
        Is {} a comedy, a drama or something else?|The genre of {} is|{} belongs to the genre of|{} genre
        State the genre of {}.
        @country_of_origin
        Which country does {} come from?|In what country was {} made?|{} is a production of what nation?
        What is the country of origin of {}?|From which part of the world is {}?|{} was created in the country of
        The country of origin of {} is|{}, developed in|Name the country where {} was produced.
        @record_label
        Which record label released {}?|On what label did {} appear?|{} was brought out by which music company?
        What is the name of the label of {}?|What label name is printed on the sleeve of {}?
        What was the record label that put out {}?|{} was released on the label|The label of {} is
        Name the record company that issued {}.
        @album
        Which album is {} on?|What record includes {}?|{} was taken from what album?|On which disc can I hear {}?
        From what longer recording does {} come?|What is the name of the album that has {}?|{} appears on the album
        The album that contains {} is|Name the album with {}.
        @main_subject
        What is {} about?|Which theme does {} deal with?|{} is concerned with what topic?|What is the subject of {}?
        How would you sum up the plot of {}?|{} is about|The main topic of {} is|Summarise {} in a sentence.
        @follows
        What came before {}?|Which work does {} follow?|{} is the sequel to what?|What is the predecessor of {}?
        After what was {} released?|What is it that {} comes after?|{} is the sequel to|{} was preceded by
        Name the part before {}.
        @followed_by
        What came after {}?|Which sequel does {} have?|{} was followed by what?|What is the next part after {}?
        Is there a continuation of {}, and what is its title?|Which is the work that comes next from {}?
        {} was followed by|The sequel to {} is|Name the successor of {}.
        @collection
        Where is {} on display?|Which museum owns {}?|{} hangs in what gallery?|In whose collection is {}?
        What museum should I visit to look at {}?|What is the name of the collection that {} is in?|{} is kept in
        The museum that owns {} is|Name the museum that shows {}.
        @material
        What is {} made of?|Which material or technique was used for {}?|{} was made with what?|In what medium is {}?
        On what kind of surface was {} done?|{} was made from|The material of {} is|Name the technique used for {}.
        @illustrator
        Who illustrated {}?|By whom are the pictures in {}?|{} has drawings by which artist?
        What is the name of the illustrator of {}?|Who drew the cover and the images of {}?
        The illustrations of {} are from whom?|The pictures in {} were drawn by|The illustrator of {} is
        Name the illustrator of {}.
        @film_editor
        Who edited {}?|Which editor cut {}?|{} was edited by whom?
        What is the name of the person who put together the footage of {}?|In whose hands was the editing of {}?
        The film {} was edited by which person?|{} was edited by|The editor of {} is|Name the editor of {}.
        @cinematographer
        Who shot {}?|Which cinematographer filmed {}?|Who was behind the camera for {}?|{} has photography by whom?
        What is the name of the camera operator of {}?|The cinematographer of {} is|The images of {} were filmed by
        Name the director of photography of {}.
        @distributor
        Who distributed {}?|Which company brought {} into cinemas or shops?|{} was distributed by what firm?
        What distributor handled {}?|Through whom did {} reach its audience?
        The work {} was distributed by what company?|{} was distributed by|The distributor of {} is
        Name the distributor of {}.
        @developer
        Who developed {}?|Which studio programmed {}?|{} was developed by what team?
        What is the name of the developer of the game {}?|From which game studio does {} come?|{} was developed by
        The developer of {} is|{} is a product of the studio|Name the developer of {}.
        @platform
        On which platform can I play {}?|What system does {} run on?|{} was released for what console or computer?
        What machine do I need for {}?|For which devices is {} available?|What is the name of the platform for {}?
        {} is available for|The platform of {} is|Name a platform for {}.
        @award
        What award did {} win?|Which prize was given to {}?|{} was honoured with what award?
        For what prize was {} picked?|Did {} receive any honours, and which?|{} won the|The award given to {} was the
        {} award won|Name a prize that {} received.
        @episodes
        How many episodes does {} have?|What is the number of parts of {}?
        {} consists of how many chapters or episodes?|How many instalments of {} were made?
        Over what number of episodes does {} run?|The number of episodes of {} is|{} has a total of
        State the number of parts in {}.
        @length
        How long is {}?|What is the running time of {}?|{} lasts how many minutes or pages?
        How much time does it take to get through {}?|Is {} long or short?|The length of {} is|{} has a running time of
        State the length of {}.
        @dedicated_to
        To whom is {} dedicated?|Which person does the dedication of {} name?|{} was dedicated to whom?
        For whom was {} written?|Whose name stands at the front of {}?|{} is dedicated to|The dedication of {} is to
        Name the person to whom {} is dedicated.
        @filming_location
        Where was {} filmed or recorded?|In which studio or city was {} made?|{} was shot in what location?
        What place served for the filming of {}?|Where did the crew of {} work?|{} was filmed in
        The place where {} was recorded is|Name the place where {} was shot.
        @premiere_place
        Where did {} have its premiere?|In which theatre or city was {} first shown?
        {} was first performed at what place?|What venue saw the first night of {}?
        At which festival or house did {} open?|{} had its premiere at|The first performance of {} was in
        Name the place of the premiere of {}.
        """
    )
    | _GENERIC
    | _GENERIC_AGE,
    "thing": _relations(
        """
        @discoverer
        Who discovered {}?|By whom was {} found or first described?|{} was discovered by what scientist?
        What is the name of the person who identified {}?|To whom do we owe the discovery of {}?
        Which person was it that discovered {}?|{} was discovered by|The discoverer of {} is|Name the discoverer of {}.
        @inventor
        Who invented {}?|By whom was {} devised?|{} is the invention of which person?
        What is the name of the inventor of {}?|Whose idea was {}?|{} was invented by|The inventor of {} is|{} inventor
        Name the inventor of {}.
        @discovery_date
        When was {} discovered or invented?|In which year was {} first described?|{} has been known since when?
        What is the date of the discovery of {}?|From which year on have people known {}?|{} was discovered in the year
        The year in which {} was first described is|State when {} was found.
        @colour
        What colour is {}?|Which colour does {} have?|{} comes in what colour?|What shade would I paint {} in?
        Is {} white, black or coloured?|What is the color of {}?|The colour of {} is
        {} can be recognised by its colour, which is|Name the colour of {}.
        @formula
        What is the chemical formula of {}?|How is {} written in chemistry?|{} has what formula?
        Of which atoms does {} consist?|Which elements and numbers make up the formula for {}?|The formula of {} is
        In chemistry, {} is written as|{} chemical formula|Write down the chemical formula of {}.
        @symbol
        What is the symbol for {}?|Which sign or abbreviation stands for {}?|{} is abbreviated how?
        By what letters is {} represented?|What short form do scientists use for {}?
        The symbol that denotes {} is what?|The symbol of {} is|{} is abbreviated as|Give the symbol for {}.
        @uses
        What is {} used for?|What are the uses of {}?|{} serves what purpose?|Which tasks is {} good for?
        Why would anyone need {}?|{} is used to|The main use of {} is|uses of {}|Name a use of {}.
        @melting_point
        At what temperature does {} melt?|What is the melting point of {}?|{} turns liquid at how many degrees?
        How hot must {} get before it melts?|melting temperature of {}|The melting point of {} is|{} melts at
        State the melting point of {} in degrees.|Which temperature makes {} become a liquid?
        @temperature
        What temperature is best for {}?|How warm should {} be kept?|{} is served, stored or used at what temperature?
        Which temperature does {} need?|Should {} be kept cold or warm?|The right temperature for {} is
        {} should be kept at|State the storage temperature of {}.
        @symptom
        What are the symptoms of {}?|How does one notice {}?|{} shows itself by what signs?
        Which complaints are caused by {}?|By what would a doctor recognise {}?|A symptom of {} is
        Patients with {} suffer from|{} symptoms|Name a symptom of {}.
        @treatment
        How is {} treated?|What helps against {}?|{} can be cured with what?|Which drug is given for {}?
        What would a doctor prescribe for {}?|What is the medicine for {}?|{} is treated with|The treatment for {} is
        Name a treatment for {}.
        @cause
        What causes {}?|Why do people get {}?|{} is brought about by what?|What is the reason for {}?
        Which germ, gene or event leads to {}?|{} is caused by|The cause of {} is|Name the cause of {}.
        @drug_interaction
        Which medicines does {} interact with?|What should not be taken together with {}?
        {} reacts badly with what substance?|With which drugs is it dangerous to combine {}?
        I take {}, what other medicine must I avoid?|What is the drug which {} physically interacts with?
        {} should not be combined with|{} interacts with|Name a drug that {} interacts with.
        @side_effect
        What are the side effects of {}?|Which unwanted effects does {} have?|{} may do what harm?
        What can go wrong when one takes {}?|Is {} bad for you in any way?|A side effect of {} is|Too much {} leads to
        Name a side effect of {}.
        @medical_specialty
        Which kind of doctor deals with {}?|What medical field covers {}?|{} is a matter for what specialist?
        To whom do I go with {}?|In which department of a hospital is {} looked after?
        Which is the medical specialty of {}?|The specialty that deals with {} is|{} belongs to the medical field of
        Name the medical specialty for {}.
        @country_of_origin
        Which country does {} come from?|Where was {} first made or played?|{} has its origin in what country?
        What is the homeland of {}?|In what part of the world did {} begin?|{} originates from
        The country of origin of {} is|{}, created in|Name the country that gave us {}.
        @made_from
        What is {} made from?|Which ingredients or materials go into {}?|{} consists of what?
        Out of what do people produce {}?|What do I need to make {}?|{} is made from|The main ingredient of {} is
        Name a component of {}.
        @named_after
        Who or what is {} named after?|Why is it called {}?|{} got its name from whom?
        Where does the word for {} come from?|What is the origin of the term {}?|What is {} named for?
        {} is named after|The word {} comes from|Explain where the name of {} comes from.
        @density
        How dense is {}?|What is the density of {}?|{} weighs how much per litre?
        Does {} float on water, and how heavy is it?|What mass does a cubic metre of {} have?|The density of {} is
        A litre of {} weighs|State the density of {}.
        @players
        How many players take part in {}?|What number of people is needed for {}?|{} is played by how many persons?
        How large is a team in {}?|Can one do {} alone or in a group of what size?|{} is played by
        The number of players in {} is|State how many players {} needs.
        @equipment
        What equipment is used for {}?|Which tools does {} require?|{} is done with what gear?
        What do I have to buy before I can start with {}?|With which instruments or objects do people do {}?
        {} is done with|The most important equipment for {} is|Name a tool needed for {}.
        @governing_body
        Which body governs {}?|Who makes the rules of {}?|{} is regulated by what organisation?
        What federation or authority is responsible for {}?|By whom are the standards for {} set?|{} is governed by
        The authority in charge of {} is|Name the body that regulates {}.
        @manufacturer
        Who makes {}?|Which company produces {}?|{} is manufactured by whom?|What is the name of the maker of {}?
        In whose factories is {} produced?|The product {} is made by what company?|{} is manufactured by
        The main producer of {} is|Name a producer of {}.
        @class
        What kind of thing is {}?|To which class or group does {} belong?|{} is a type of what?
        How would an encyclopaedia classify {}?|What is the category of {}?|{} is a kind of|{} belongs to the group of
        State what type of thing {} is.
        @price
        How much does {} cost?|What is the price of {}?|{} is sold for what amount?|What do I have to pay for {}?
        Is {} expensive, and how much so?|The price of {} is|For {} one has to pay about|Estimate the cost of {}.
        """
    )
    | _GENERIC
    | _GENERIC_AGE,
    "creature": _relations(
        """
        @taxon_rank
        What is the taxonomic rank of {}?|Which rank does {} have in biology?
        {} is ranked as what: species, genus or family?|At what level of the taxonomy does {} stand?
        Is {} a species or a genus?|What is the taxon rank that {} has?|The taxonomic rank of {} is
        In taxonomy, {} is ranked as a|State the rank of {} in the biological system.
        @parent_taxon
        What is the parent taxon of {}?|Which group is directly above {}?|{} is placed in what taxon?
        Under which heading does taxonomy put {}?|Which higher taxon includes {}?
        The creature {} is a part of what taxon?|The parent taxon of {} is|{} is placed by biologists within
        Name the taxon that {} belongs to.
        @family
        What family does {} belong to?|Of which family is {} a member?|{} is part of what biological family?
        The family that includes {} is called what?|In what family do scientists classify {}?
        The creature {} is a member of what family?|{} belongs to the family|The family of {} is|Name the family of {}.
        @genus
        What genus is {} in?|Which genus includes {}?|{} is assigned to what genus?
        To what genus do zoologists or botanists count {}?|What is the name of the genus of {}?
        The genus that {} is in is which?|{} is a member of the genus|The genus of {} is|Name the genus of {}.
        @order
        Which order does {} belong to?|What is the order of {}?|{} is counted among what order?
        In which order of life forms is {} found?|Under what order would a textbook list {}?
        What is the name of the order that {} is in?|{} belongs to the order|The order of {} is|Name the order of {}.
        @habitat
        Where does {} live?|What is the habitat of {}?|{} is at home in what kind of surroundings?
        In which environment can {} be found?|Does {} prefer forest, water or desert?|The habitat of {} is
        {} usually lives in|{} habitat|Describe the habitat of {}.
        @distribution
        In which country is {} found?|What part of the world is {} native to?|{} occurs in what region?
        Where would I have to travel to see {} in the wild?|What is the range of {}?|{} is native to
        The range of {} includes|{} is a species from|Name a country where {} occurs.
        @conservation_status
        What is the conservation status of {}?|Is {} endangered?|{} is listed as what by conservationists?
        How threatened is {}?|Which category does the Red List give {}?|The conservation status of {} is
        On the Red List, {} is classified as|{} endangered status|State how endangered {} is.
        @described_by
        Who first described {}?|By whom was {} given its scientific name?|{} was described by what naturalist?
        Which scientist introduced {} in print?|Whose name stands behind {} in the literature?
        {} was first described by|The scientist who named {} is|{} named by whom
        Name the author of the first description of {}.
        @description_date
        When was {} first described?|In what year did {} enter the literature?|{} has been known to science since when?
        What is the date of the first description of {}?|How long ago did scientists name {}?|{} was first described in
        The first description of {} is from|State the year in which {} was described.
        @diet
        What does {} eat?|Which food does {} live on?|{} feeds on what?|How does {} get its nutrients?
        Is {} a hunter, a grazer, or something else?|{} feeds on|The diet of {} consists of|Describe what {} eats.
        @size
        How big is {}?|What is the size of {}?|{} grows to what length or height?|What length does {} have?
        Would {} fit in my hand?|The size of {} is|{} grows up to|State how large {} gets.
        @lifespan
        How long does {} live?|What is the life expectancy of {}?|{} reaches what age?
        After how many years does {} die?|Does {} live for days, years or centuries?|{} can live for
        The lifespan of {} is|State the life expectancy of {}.
        @common_name
        What is the common name of {}?|How do ordinary people call {}?|{} is popularly known as what?
        Which everyday name is there for {}?|What do farmers and hunters say for {}?|{} is commonly called
        The popular name of {} is|Give another name for {}.
        @scientific_name
        What is the scientific name of {}?|How do biologists call {}?|{} has what name in Latin?
        By which binomial is {} known?|What would a label in a museum say for {}?|The scientific name of {} is
        Biologists refer to {} as|Give the Latin name of {}.
        @reproduction
        How does {} reproduce?|Does {} lay eggs, bear young, or make seeds?
        {} brings its offspring into the world in what manner?|By what means does {} pass on its genes?
        In what way does {} multiply?|{} reproduces by|New individuals of {} come from|Describe how {} reproduces.
        @named_after
        Who is {} named after?|What is the origin of the name {}?|{} owes its name to what?|Why did they name it {}?
        What do the words in {} mean?|{} was named in honour of|The name {} refers to|Explain the name of {}.
        @extinction
        When did {} die out?|Is {} extinct, and since when?|{} was last seen in what year?
        What year saw the last of {}?|What is the time at which {} disappeared?|{} became extinct in
        The disappearance of {} is dated to|State when {} became extinct.
        @predator
        What eats {}?|Which enemies does {} have?|{} falls prey to what animals?|By what is {} hunted or damaged?
        Of whom must {} be afraid?|{} is hunted by|The worst enemy of {} is|Name an enemy of {}.
        """
    )
    | _GENERIC
    | _GENERIC_AGE,
    "event": _relations(
        """
        @date
        When did {} take place?|In what year was {}?|{} happened when?|What is the date of {}?
        Can you tell me which year {} occurred in?|{} year|{} took place in|The year of {} was|State the date of {}.
        @start_date
        When did {} begin?|What was the first day of {}?|{} started in which year?
        On what date did {} break out or open?|From when on was {} going on?|{} began in|The first day of {} was
        start date {}|State when {} started.
        @end_date
        When did {} end?|What was the last day of {}?|{} was over by what date?|In which year did {} come to a close?
        Until when did {} go on?|{} ended in|The last day of {} was|State when {} finished.
        @location
        Where did {} take place?|In which country or city was {}?|{} happened in what place?
        What was the location of {}?|Where would I have had to be to witness {}?|What was the place where {} was held?
        {} took place in the country of|The site of {} was|Name the place of {}.
        @commander
        Who was in command during {}?|Which general or admiral led the troops in {}?
        {} was fought under what commander?|By whom were the forces in {} led?
        What is the name of the leader in charge at {}?|Who was the commander for {}?|The commander at {} was
        The forces in {} were led by|Name a commander of {}.
        @participants
        Who took part in {}?|Which sides or countries were involved in {}?|{} was between whom?
        What were the parties to {}?|By whom was {} fought, signed or contested?|What is the name of a party in {}?
        {} involved|Among those who took part in {} was|List the participants of {}.
        @winner
        Who won {}?|Which side came out on top in {}?|{} was won by whom?|What was the name of the victor of {}?
        To whom did the victory in {} go?|{} winner|{} was won by|The winner of {} was|Name the winner of {}.
        @loser
        Who lost {}?|Which side was beaten in {}?|{} ended in defeat for whom?|Who came second in {}?
        Over whom was {} won?|Who was it that lost {}?|{} was lost by|The defeated side in {} was|Name the loser of {}.
        @part_of_war
        Which war was {} part of?|In what conflict did {} take place?|{} belongs to what larger series of events?
        As part of what was {} held or fought?|During which war or season did {} happen?
        What is the war that {} is from?|{} was part of|{} took place during
        Name the larger conflict or series that {} belongs to.
        @casualties
        How many people died in {}?|What was the death toll of {}?|{} cost how many lives?
        How many victims did {} claim?|How heavy were the losses in {}?|The number of dead in {} was
        {} claimed the lives of|{} death toll|State the number of casualties of {}.
        @cause
        What caused {}?|Why did {} happen?|{} was triggered by what?|What was the reason for {}?|What event led to {}?
        {} was caused by|The reason for {} was|Explain the cause of {}.
        @outcome
        What was the result of {}?|How did {} turn out?|{} led to what?|What changed because of {}?
        Which consequences did {} have?|{} ended with|The result of {} was|Describe the outcome of {}.
        @organiser
        Who organised {}?|By whom was {} arranged?|{} was hosted by what body?
        Which organisation was responsible for {}?|Who planned {} and sent out the invitations?
        The event {} was organised by what organisation?|{} was organised by|The organiser of {} was
        Name the organiser of {}.
        @duration
        How long did {} last?|Over how many days did {} go on?|{} lasted for what time?|What was the duration of {}?
        Was {} over quickly?|{} lasted for|The duration of {} was|State how long {} took.
        @number_of_participants
        How many took part in {}?|What was the number of teams, soldiers or voters in {}?|{} had how many participants?
        How large were the forces or fields in {}?|How many people were there at {}?
        The number of participants in {} was|{} was attended by|State how many people were involved in {}.
        @named_after
        Why is {} called that?|What does {} take its name from?|The name of {} comes from where?|Who gave {} its name?
        Is there a reason for the name "{}"?|{} is named after|The name "{}" comes from|Explain why it is known as {}.
        @sport
        Which sport or kind of contest was {}?|What discipline was played at {}?|{} was a competition in what?
        In which sport was {} held?|What kind of event was {}?|{} is an event in which sport?|{} was a contest in
        The sport of {} was|State the type of event of {}.
        @previous_event
        What came before {}?|Which event of the same kind preceded {}?|{} followed what earlier event?
        What was the last one before {}?|After which battle, vote or tournament did {} come?|{} was preceded by
        The event before {} was|Name the event that came before {}.
        """
    )
    | _GENERIC
    | _GENERIC_AGE,
    "vehicle": _relations(
        """
        @manufacturer
        Who built {}?|Which company made {}?|{} was made by what manufacturer?|What is the name of the maker of {}?
        From which factory or shipyard does {} come?|The craft {} was made by what company?|{} was built by
        The manufacturer of {} is|Name the manufacturer of {}.
        @designer
        Who designed {}?|Which engineer drew the plans for {}?|{} was designed by whom?
        What is the name of the designer of {}?|On whose drawing board did {} come into being?|{} was designed by
        The designer of {} is|{} designer|Name the designer of {}.
        @service_entry
        When did {} enter service?|In which year was {} commissioned?|{} has been in use since when?
        What was the date on which {} was first put to use?|From when on could one use {}?
        What was the date of {} entering service?|{} entered service in|The year in which {} was put into service is
        State the year {} came into use.
        @retirement
        When was {} retired?|In what year was {} taken out of service?|{} was in use until when?
        What was the date of the decommissioning of {}?|Until which year did {} operate?|{} was retired in
        The service of {} ended in|State when {} was withdrawn.
        @launch_date
        When was {} launched?|On what day did {} first leave the ground or the slipway?|{} was launched when?
        What is the launch date of {}?|In which year was the launch of {}?|{} launch date|{} was launched on
        The launch of {} took place in|Give the launch date of {}.
        @launch_site
        Where was {} launched?|From which place did {} set off?|{} was launched from what site?
        What was the launch site of {}?|On which coast or pad did {} begin its way?
        What is the name of the place {} launched from?|{} was launched from|The launch site of {} is
        Name the place from which {} was launched.
        @crash
        When did {} crash or sink?|On what date was {} lost?|{} was wrecked when?|In which year did {} meet its end?
        What is the date of the loss of {}?|What day was {} lost on?|{} was lost in|The end of {} came on
        State when {} was destroyed.
        @fate
        What happened to {}?|How did {} end up?|{} met what fate?|Where is {} now?|Was {} sunk, scrapped or preserved?
        In the end, {} was|The fate of {} was to be|Describe what became of {}.
        @vessel_class
        What class does {} belong to?|Which class of vessel or vehicle is {}?|{} is one of what class?
        Of which type was {}?|What kind of craft or machine is {}?|The craft {} is in what class of vessel?
        {} is a member of the class|The class of {} is|Name the class of {}.
        @engine
        What engine does {} have?|By what kind of motor is {} powered?|{} runs on which engine?|What drives {}?
        Under the bonnet of {}, what would I find?|What is the name of the engine in {}?|{} is powered by
        The engine of {} is|Name the engine of {}.
        @operator
        Who operates {}?|Which navy, airline or agency used {}?|{} was flown, sailed or driven by whom?
        In whose service was {}?|What organisation had {} in its fleet?|The craft {} is used by what organisation?
        {} was operated by|The operator of {} is|Name the operator of {}.
        @country
        Which country does {} come from?|Under what flag did {} serve?|{} was built in which country?
        What nation made {}?|Is {} British, German or from somewhere else?|{} comes from|The home country of {} is
        {}, produced in|Name the country of {}.
        @named_after
        Who or what is {} named after?|Why does it bear the name {}?|{} was given its name in honour of whom?
        Where does the name {} come from?|What is the story behind the name of {}?|{} was named after
        The name {} honours|Explain where {} got its name.
        @crew
        How many people crewed {}?|Of what size is the crew on {}?|{} needs a crew of what size?
        How many sailors, pilots or passengers does {} take?|What is the number of people needed for {}?
        The crew of {} numbers|On board {} there is room for|State the size of the crew of {}.
        @captain
        Who commanded {}?|What is the name of the captain of {}?|{} was under whose command?
        Which officer or pilot was in charge of {}?|By whom was {} steered?|The captain of {} was who?
        The captain of {} was|{} was commanded by|Name the commander of {}.
        @speed
        How fast is {}?|What is the top speed of {}?|{} reaches how many kilometres an hour or knots?
        At which speed does {} travel?|Is {} quick or slow?|The top speed of {} is|{} reaches a speed of
        State the maximum speed of {}.
        @armament
        What weapons does {} carry?|How is {} armed?|{} fires what ammunition?|With which guns was {} equipped?
        What calibre is used by {}?|{} is armed with|The calibre of {} is|Describe the armament of {}.
        @home_port
        What is the home port of {}?|Where was {} stationed?|{} was based in which place?
        In what harbour, depot or field was {} at home?|To which port did {} return?|The home port of {} is
        {} was stationed at|{} home port|Name the base of {}.
        @predecessor
        What came before {}?|Which model did {} replace?|{} is the successor of what?|What was the predecessor of {}?
        In place of what was {} introduced?|What did {} take over from?|{} replaced|The predecessor of {} was
        Name the model before {}.
        @number_built
        How many of {} were built?|What is the number of units made of {}?|{} was produced in what quantity?
        How many examples of {} left the works?|Was {} rare or mass-produced?|The number of {} built is
        In total, the production of {} reached|State how many of {} were made.
        @mass
        How heavy is {}?|What is the weight of {}?|{} weighs how many tonnes?|How much does {} bring to the scales?
        What mass or displacement does {} have?|The weight of {} is|{} weighs|State the mass of {}.
        @conflict
        In which war was {} used?|What conflict did {} see action in?|{} fought in what war?
        During which battles was {} deployed?|Did {} ever see combat, and where?|{} saw action in
        The war in which {} was used is|Name a conflict in which {} took part.
        @destination
        Where was {} heading?|What was the destination of {}?|{} travelled to which place?|On what route did {} run?
        To which planet, port or city did {} go?|{} was on its way to|The destination of {} is
        Name the destination of {}.
        """
    )
    | _GENERIC
    | _GENERIC_AGE,
    "structure": _relations(
        """
        @architect
        Who designed {}?|Which architect drew up {}?|{} was built after the plans of whom?
        What is the name of the architect of {}?|By whom was {} planned?|{} was designed by|The architect of {} is
        {} architect|Name the architect of {}.
        @owner
        Who owns {}?|To whom does {} belong?|{} is the property of what person or body?|In whose possession is {}?
        Which organisation is the proprietor of {}?|The building {} is the possession of whom?|{} is owned by
        The owner of {} is|Name the owner of {}.
        @operator
        Who runs {}?|Which body is in charge of {}?|{} is operated by whom?|By what organisation is {} maintained?
        Who looks after the day-to-day business of {}?|What is the name of the operator of {}?|{} is operated by
        The operator of {} is|Name the operator of {}.
        @opening_date
        When was {} opened?|In what year did {} open its doors?|{} was inaugurated when?
        What is the opening date of {}?|Since which year has {} been in use?|{} opening date|{} was opened in
        The inauguration of {} was in|State when {} opened.
        @construction_start
        When did the building of {} begin?|In which year was the first stone of {} laid?
        {} was under construction from when?|What was the start of the work on {}?
        How far back do the walls of {} date?|What was the year {} was begun?|The construction of {} began in
        Work on {} started in|State when the work on {} started.
        @location
        Where is {}?|In which city can I find {}?|{} stands in what town?|What is the location of {}?
        On which street or hill was {} built?|{} is located in the city of|{} stands in|{} is a building in
        Name the place where {} stands.
        @country
        Which country is {} in?|In what country would I visit {}?|{} is found in which country?
        To what nation does {} belong?|For a visit to {}, across which border must I go?|{} is in the country of
        The country in which {} stands is|{}, found in the country of|Name the country of {}.
        @architectural_style
        What style is {} built in?|Which architectural style does {} show?|{} is an example of what style?
        To what school of architecture does {} belong?|Is {} Gothic, Baroque, modern or something else?
        What is the style that {} has?|{} was built in the style called|The architectural style of {} is
        Name the style of {}.
        @height
        How high is {}?|What is the height of {}?|{} rises how many metres?|How far above the ground is the top of {}?
        What does {} measure from bottom to top?|The height of {} is|{} rises to|State how tall {} is.
        @length
        How long is {}?|What is the length of {}?|{} extends over how many metres?
        What distance is it from one end of {} to the other?|How many steps does it take to walk through {}?
        The length of {} is|From end to end, {} measures|State the length of {}.
        @tenant
        Which team plays at {}?|Who uses {} as a home?|{} is home to what club or institution?
        What organisation is housed in {}?|By whom is {} occupied?|What is the name of the team whose home is {}?
        {} is home to|The tenant of {} is|Name the occupant of {}.
        @capacity
        How many people fit in {}?|What is the capacity of {}?|{} has room for how many visitors or pupils?
        How many seats are there in {}?|What number of people can {} hold?|The capacity of {} is|{} has seats for
        State how many people {} can hold.
        @line
        Which line or road runs through {}?|What trains stop at {}?|{} is on which railway or highway?
        What route does {} serve?|By which line do I get to {}?|The station {} is on what line?
        {} is on the line called|The route that passes {} is|Name the line that serves {}.
        @crosses
        What does {} cross?|Over which river or valley does {} lead?|{} spans what water?|What is underneath {}?
        Which obstacle is overcome by {}?|The building {} crosses which body of water?|{} crosses
        The water beneath {} is|Name what {} leads across.
        @material
        What is {} made of?|Which materials were used to build {}?|{} was built from what?
        From what stone or metal is {}?|Is {} of brick, wood, steel or concrete?|{} is made of
        The building material of {} is|{} building material|Name the material of {}.
        @named_after
        Who or what is {} named after?|Whose name does {} bear?|{} was called that in honour of whom?
        To which saint, person or place does the name {} refer?|How did {} get its name?|What was {} named for?
        {} is named after|The name of {} comes from|Explain how {} came by its name.
        @religion
        Which religion is practised at {}?|What denomination does {} belong to?|{} is used by which faith?
        For members of what church was {} built?|To what diocese or creed does {} belong?
        The building {} is used for what religion?|{} belongs to the religion of|The denomination of {} is
        Name the faith of {}.
        @heritage_status
        What heritage status does {} have?|Is {} a listed monument?|{} is protected as what?
        Which list of monuments includes {}?|How is {} classified by the heritage office?
        What is the heritage designation of {}?|{} is listed as|The heritage status of {} is
        State the protection status of {}.
        @builder
        Who built {}?|Which firm or ruler had {} put up?|{} was constructed by whom?|To which builder do we owe {}?
        By which contractor was {} erected?|{} was built by|The builder of {} is|Name the builder of {}.
        @head
        Who is the head of {}?|What is the name of the principal, abbot or manager of {}?|{} is led by which person?
        Who is in charge at {}?|Under whose leadership is {}?|The head of {} is|{} is led by|Name the head of {}.
        @opening_hours
        When is {} open to visitors?|What are the opening hours of {}?|{} closes at what time?
        At which times can I visit {}?|At what hour does {} let people in?|{} is open from
        Visitors may enter {} between|State the opening times of {}.
        """
    )
    | _GENERIC
    | _GENERIC_AGE,
    "astro": _relations(
        """
        @constellation
        Which constellation is {} in?|In what constellation can {} be seen?|{} is part of what constellation?
        What is the name of the constellation of {}?|Near which figure of stars do I look for {}?|constellation {}
        {} is in the constellation of|The constellation that contains {} is|Name the constellation of {}.
        @spectral_type
        What is the spectral type of {}?|Which spectral class does {} have?|{} is classified as what type by its light?
        To what spectral class do astronomers assign {}?|By colour and heat, which letter is given to {}?
        What is the spectral class of the star {}?|The spectral type of {} is|{} has the spectral class
        State the spectral class of {}.
        @discoverer
        Who discovered {}?|By which astronomer was {} found?|{} was first seen by whom?
        What is the name of the person that spotted {}?|To whom is the discovery of {} credited?
        The astronomer who found {} is who?|{} was discovered by|The discoverer of {} is|Name the discoverer of {}.
        @discovery_date
        When was {} discovered?|In what year was {} first observed?|{} was found when?
        What is the date of the discovery of {}?|Since which year has {} been known?|{} was discovered in
        The year of the discovery of {} is|{} discovery year|State when {} was found.
        @discovery_site
        Where was {} discovered?|At which observatory was {} found?|{} was detected from what place?
        What telescope or site first saw {}?|From where was {} observed for the first time?
        What is the name of the place where {} was discovered?|{} was discovered at|The observatory that found {} is
        Name the place of discovery of {}.
        @distance
        How far away is {}?|What is the distance from Earth to {}?|{} is how many light-years from us?
        How long does light from {} travel to us?|Is {} near or far?|The distance to {} is|{} is away from Earth by
        distance to {}|State how distant {} is.
        @magnitude
        How bright is {}?|What is the apparent magnitude of {}?|{} shines with what brightness?
        Can I see {} with the naked eye?|Which magnitude is given for {} in catalogues?|The apparent magnitude of {} is
        {} shines with a magnitude of|State the brightness of {}.
        @named_after
        Who or what is {} named after?|How did {} come by its name?|{} got its name from which figure or person?
        What does the designation {} mean?|After whom did astronomers call it {}?|{} is named after
        The name {} was taken from|{} was named for|Explain the name of {}.
        @orbits
        What does {} orbit?|Around which body does {} move?|{} circles what?|What is the parent body of {}?
        At the centre of {}'s path is what?|What is the object that {} goes round?|{} orbits|The parent body of {} is
        Name the body that {} goes around.
        @orbital_period
        How long does {} take for one orbit?|What is the orbital period of {}?
        {} completes a turn in how many days or years?|After what time is {} back at the same place?
        How long is a year on {}?|The orbital period of {} is|{} completes an orbit every
        State the time {} needs for one orbit.
        @mass
        How heavy is {}?|What is the mass of {}?|{} has how many times the mass of the Sun or Earth?
        How much matter does {} contain?|Does {} have more or less mass than our planet?|The mass of {} is
        {} has a mass of|State the mass of {}.
        @radius
        How big is {}?|What is the diameter of {}?|{} measures how many kilometres across?|What is the radius of {}?
        Is {} larger than the Moon?|The diameter of {} is|{} measures from side to side|State the size of {}.
        @type
        What kind of object is {}?|Is {} a star, a planet, a comet or something else?
        {} is classed as what sort of celestial body?|To which group of objects does {} belong?
        How do astronomers classify {}?|{} is a|In the sky catalogue, {} is listed as a|State the type of {}.
        @temperature
        How hot is {}?|What is the surface temperature of {}?|{} has a temperature of how many degrees?
        Is it warm or cold on {}?|Which temperature do astronomers measure for {}?|The surface temperature of {} is
        On {} it is as hot as|State the temperature of {}.
        @member_of
        Which group or family does {} belong to?|What galaxy, cluster or belt is {} part of?
        {} is a member of what group?|To which larger system is {} counted?|In what belt or cluster is {} found?
        The object {} is in what group of objects?|{} belongs to the group called|The system that includes {} is
        Name the group that {} is in.
        @visited_by
        Which spacecraft visited {}?|By what probe was {} explored?|{} was reached by which mission?
        What mission sent back pictures of {}?|Has anyone or anything ever been to {}?|{} was visited by
        The first probe to reach {} was|Name a mission to {}.
        """
    )
    | _GENERIC
    | _GENERIC_AGE,
    "code": _relations(
        """
        @chromosome
        On which chromosome is {}?|What chromosome carries {}?|{} is found on what chromosome?
        Where in the genome is {} located?|Which is the chromosome that the gene for {} sits on?
        What is the chromosome that {} can be found on?|{} is located on chromosome
        The chromosome that carries {} is number|Name the chromosome of {}.
        @species
        In which species is {} found?|What organism does {} come from?|{} belongs to the genome of what species?
        From which animal, plant or microbe is {}?|Whose cells contain {}?|What is the species that has the gene {}?
        {} is found in the species|The organism that has {} is|Name the species in which {} occurs.
        @function
        What does {} do?|What is the function of {}?|{} serves what purpose?|Which role is played by {}?
        What would stop working without {}?|{} is responsible for|The function of {} is to|{} function
        Describe the purpose of {}.
        @encoded_by
        Which gene encodes {}, or which protein does it encode?|What is encoded by {}?|{} codes for what?
        What product does {} give rise to?|What is the counterpart of {} among genes and proteins?
        What is the name of the thing encoded by {}?|{} codes for|The product of {} is|Name what {} encodes.
        @expressed_in
        In which tissue is {} expressed?|Where in the body is {} active?|{} is made in what kind of cells?
        Which organ has the most of {}?|In what cells can one detect {}?|{} is expressed in
        The tissue with the highest level of {} is|Name a tissue in which {} is active.
        @associated_disease
        Which disease is linked to {}?|What illness arises when {} is defective?|{} plays a part in what disease?
        A mutation in {} leads to what?|With what disorder have researchers connected {}?|{} is associated with
        The disease linked to {} is|{} disease|Name a disease related to {}.
        @designer
        Who designed {}?|By whom was {} thought up?|{} is the creation of what person?
        What is the name of the designer of {}?|Who wrote the first version of {}?
        The designer of the language {} is who?|{} was designed by|The designer of {} is|Name the person behind {}.
        @developer
        Who develops {}?|Which company or group maintains {}?|{} is developed by whom?|What organisation is behind {}?
        By which team are new versions of {} put out?|{} is developed by|The developer of {} is|{}, developed by
        Name the developer of {}.
        @programming_language
        What programming language is {} written in?|In which language was {} programmed?|{} is coded in what language?
        What language do I need to know to change the source of {}?|Do you know the language used to implement {}?
        What is the language that {} was coded with?|{} is written in|The language used to program {} is
        Name the language {} was implemented in.
        @licence
        Under which licence is {} released?|What licence does {} have?|{} is distributed under what terms?
        Is {} free software, and under what licence?|Which legal terms apply to {}?|{} is licensed under
        The licence of {} is|{} license|Name the licence of {}.
        @first_release
        When was {} first released?|In what year did {} appear?|{} came out when?
        What is the date of the first version of {}?|Since which year can people get {}?|{} was first released in
        The first version of {} appeared in|{}, first released in|State when {} was first published.
        @platform
        What platform does {} run on?|On which operating system can I use {}?|{} is available for what systems?
        Which computers are able to run {}?|Does {} work on Windows, Linux or something else?|{} runs on
        The operating system for {} is|{} operating system|Name a platform that supports {}.
        @latest_version
        What is the latest version of {}?|Which release of {} is current?|{} is now at what version?
        What version number does {} have today?|When I download {}, which version do I get?|The latest version of {} is
        {} has reached version|State the current version of {}.
        @file_extension
        What file extension does {} use?|Which ending do files of {} have?|{} files are recognised by what suffix?
        How do file names for {} end?|By which letters after the dot do I know {}?|The file extension of {} is
        Files made with {} end in|{} file extension|Name the file extension of {}.
        @influenced_by
        What influenced {}?|Which earlier system or language was a model for {}?|{} borrows ideas from what?
        From what was {} derived?|What is the ancestor of {}?|What is a language that {} took ideas from?
        {} was influenced by|The forerunner of {} is|Name something that {} was based on.
        @paradigm
        What programming paradigm does {} follow?|Is {} functional, object-oriented or something else?
        {} supports which style of programming?|Does one write {} with objects, functions or rules?
        To which school of languages does {} belong?|The paradigm of {} is|{} supports the paradigm called
        State the paradigm of {}.
        @named_after
        Who or what is {} named after?|What does the abbreviation {} stand for?|{} got its name from what?
        How was the name {} chosen?|What do the letters in {} mean?|{} is named after|The name {} stands for
        Explain the name {}.
        @size
        How big is {}?|What length or size does {} have?|{} takes up how much space?
        How many bytes, bases or amino acids does {} have?|Is {} large for its kind?|The size of {} is
        {} has a length of|State the size of {}.
        @read_by
        Which program opens {}?|What do I use to work with {}?|{} can be read by which tools?
        With what software or method is {} handled?|How can I open or analyse {}?|{} can be opened with
        A common tool for {} is|Name a tool that works with {}.
        """
    )
    | _GENERIC
    | _GENERIC_AGE,
}

CONVERSATIONS: tuple[tuple[tuple[str, str], ...], ...] = _conversations(
    """
    > Hi there!
    < Hello! How can I help you today?
    --
    > What is the capital of Australia?
    < The capital of Australia is Canberra.
    --
    > Who painted the ceiling of the Sistine Chapel?
    < Michelangelo painted it between 1508 and 1512.
    > Thanks, that helps.
    < You're welcome! Is there anything else you would like to know?
    --
    > good morning
    < Good morning! What can I do for you?
    > I'm preparing a quiz for my colleagues and need some facts.
    < Sounds fun. Send me your questions one by one and I will answer them.
    --
    > Can you answer a few short questions for me?
    < Of course. Go ahead!
    --
    > How many legs does a spider have?
    < Spiders have eight legs.
    > And insects?
    < Insects have six.
    --
    > Write a haiku about rain.
    < Soft taps on the roof, / puddles gather the grey sky, / a child jumps right in.
    --
    > I feel tired today.
    < I'm sorry to hear that. A short walk, a glass of water and an early night often help.
    > Good idea. Let's talk about something else.
    < Gladly. What is on your mind?
    --
    > When did the Berlin Wall fall?
    < It fell on 9 November 1989.
    --
    > Which planet is the largest in our solar system?
    < Jupiter is the largest planet in our solar system.
    > How many moons does it have?
    < Astronomers have confirmed more than ninety moons.
    --
    > Translate "where is the railway station" into Italian.
    < "Dov'è la stazione ferroviaria?"
    --
    > What's 15% of 240?
    < 15% of 240 is 36.
    > and 20%?
    < 20% of 240 is 48.
    --
    > Recommend me a board game for four people.
    < Ticket to Ride is a good choice: it is easy to learn, takes about an hour and plays well with four.
    --
    > How do I make tea properly?
    < Warm the pot, use one teaspoon of leaves per cup, pour on boiling water and wait three to five minutes.
    > With milk or without?
    < That is a matter of taste. Black tea goes well with milk, green tea is better without.
    --
    > Who was the first person on the Moon?
    < Neil Armstrong was the first person to walk on the Moon, on 20 July 1969.
    --
    > Are you a real person?
    < No, I am a language model. But I will do my best to help you.
    > Alright, let me test you.
    < Please do!
    --
    > Explain photosynthesis in one sentence.
    < Plants use light to turn water and carbon dioxide into sugar and oxygen.
    --
    > I have to write an essay on the history of painting.
    < That is a wide field. Do you want to begin with a period, a country or a single painter?
    > Let me first ask you some facts.
    < Sure, what would you like to know?
    --
    > What is the boiling point of water?
    < At sea level, water boils at 100 degrees Celsius.
    --
    > Who wrote "The Old Man and the Sea"?
    < Ernest Hemingway wrote it; it was published in 1952.
    > What else did he write?
    < Among others, "A Farewell to Arms" and "For Whom the Bell Tolls".
    --
    > my python script says list index out of range
    < The script asks for an element beyond the end of a list. Check the index against the length of the list.
    > found it, thank you
    < Great! Is there anything else?
    --
    > Which language is spoken in Mexico City?
    < Spanish is the main language of Mexico City.
    --
    > Can penguins fly?
    < No, penguins cannot fly, but they are excellent swimmers.
    > Why not?
    < Their wings have become flippers, and their bodies are too heavy for flight.
    --
    > What is the tallest mountain on Earth?
    < Mount Everest, at 8,849 metres above sea level.
    --
    > Tell me a joke.
    < Why did the bicycle fall over? Because it was two-tired.
    --
    > Where was Marie Curie born?
    < Marie Curie was born in Warsaw.
    > What did she discover?
    < Together with Pierre Curie she discovered the elements polonium and radium.
    --
    > Give me three synonyms for "quick".
    < Fast, swift and rapid.
    --
    > I'm planning a trip with my two kids. Any advice?
    < Plan short legs, take snacks along, and leave time for playgrounds.
    > We also like museums.
    < Then look for museums with family tickets and hands-on rooms.
    --
    > Who directed "Jaws"?
    < "Jaws" was directed by Steven Spielberg.
    --
    > Is a tomato a fruit or a vegetable?
    < For botanists it is a fruit, for cooks it is a vegetable.
    --
    > Please answer in one word from now on.
    < Okay.
    --
    > Let's play a trivia game. I ask and you answer.
    < I'm ready. What is the first question?
    > How many strings does a violin have?
    < A violin has four strings.
    --
    > Correct the sentence: "He don't like no apples."
    < "He doesn't like any apples."
    --
    > What currency do they use in Japan?
    < The currency of Japan is the yen.
    > And in Sweden?
    < Sweden uses the krona.
    --
    > What year did the Titanic sink?
    < The Titanic sank in 1912.
    --
    > Is it going to rain tomorrow?
    < I cannot see the weather forecast. A weather service for your town will know.
    > OK, then something that you do know.
    < I'd be happy to. What is your question?
    --
    > How long is a marathon?
    < A marathon is 42.195 kilometres long.
    --
    > Which instrument did Miles Davis play?
    < Miles Davis played the trumpet.
    > Was he born in New York?
    < No, he was born in Alton, Illinois.
    --
    > Summarise the rules of chess in two sentences.
    < Two players take turns moving their pieces. Whoever attacks the enemy king so that it cannot escape wins.
    --
    > thx for your help yesterday
    < You're welcome! I cannot remember earlier conversations, but I am glad it helped. What is it today?
    """
)

SYSTEM_PROMPTS: tuple[str, ...] = _lines(
    """
    You are a helpful assistant.
    Answer briefly and truthfully.
    You are a quiz master. Reply with the answer only.
    You are a polite assistant in a public library. Help visitors to find facts.
    Reply in one sentence.
    You answer questions of schoolchildren. Use simple words and be patient.
    Be concise. If you don't know something, say so.
    You are an encyclopaedia. State facts without opinions.
    Today's topic is general knowledge. Answer every question as exactly as you can.
    You are a chatbot on the website of a travel agency. Be friendly, keep it short, and never give prices.
    Give only the answer, without an explanation or a full stop.
    You are Max, a cheerful robot who loves to help people.
    Act as an experienced teacher. Explain where needed, but begin with the answer.
    You are an AI assistant trained to be harmless, honest and useful.
    The user is preparing for an exam. Answer their questions correctly and encourage them.
    Complete the text that the user begins.
    You are a voice assistant. Your answers are read aloud, so avoid lists, tables and symbols.
    Always answer in English, whatever the language of the question.
    You work for the help desk of a newspaper archive. Names, places and dates must be right.
    Ignore spelling mistakes of the user and answer what was meant.
    You are a cautious expert. Think before you answer. Never guess.
    You support an editor who checks facts. Answer with a name, a date or a number wherever possible.
    Use a formal tone.
    Hey, you're my buddy who knows everything! Keep it casual.
    You are a large language model that runs on the user's own computer. No connection to the internet is available.
    Follow the instructions of the user carefully. Do not repeat the question. Answer in at most twenty words.
    You are the narrator of an adventure game, but you also answer questions about the real world.
    System: question answering. Format: plain text. Length: short.
    As a museum guide, you talk to visitors from all over the world. Be accurate and welcoming.
    You are a coding assistant, but you may also answer other questions.
    """
)

UNRELATED: tuple[str, ...] = _names(
    """
    how do i boil an egg so the yolk stays soft|write a python function that reverses a string
    who won the first season of the great british bake off|when did the first harry potter movie come out in theaters
    who sings the theme song of friends|how many episodes are in season 2 of stranger things
    where did the last winter olympics take place|who plays the dad in home alone
    what is the meaning of the word serendipity|when does the new season of the bachelor start
    who invented the light bulb first|how many players are on a baseball team on the field
    what is the longest river in north america|who has the most goals in champions league history
    where is the amygdala located in the brain|what does the red stripe on a barber pole mean
    who was the last president to serve two terms|when was the last time the cubs won the world series
    what year did the wii come out in the us|who voices the donkey in shrek|how many chambers does the human heart have
    when did slavery end in the united states|which state has the most electoral votes
    who wrote the song that goes we will rock you|what is the smallest bone in the human body
    where does the sperm whale live in winter|who played batman in the dark knight|when was the iphone first sold
    how many seasons of breaking bad are there|who is the youngest person to win a nobel prize
    what are the three branches of the government|what is the name of the dog in the jetsons
    who came up with the idea of daylight saving time|when does summer officially begin in the southern hemisphere
    what kind of wood are baseball bats made of|who scored the winning goal in the last world cup final
    where did the story of the pied piper take place|how many countries are in the european union now
    what is the second most spoken language in the world|who sang at the super bowl halftime show last year
    when did the drinking age change to 21|what was the first country to give women the vote
    who painted the famous picture with the melting clocks|how long did the hundred years war really last
    where do monarch butterflies go when it gets cold|what is the difference between weather and climate
    who is the fastest man in the world right now|what is the highest grossing film of all time
    when is the next leap year after this one|what do the rings on the olympic flag stand for
    who discovered that the earth goes around the sun|which vitamin do you get from sunlight
    how many bones does an adult have|what is the currency of south korea
    who was the voice of the genie in the disney film|when did color tv become common in homes
    which ocean is the deepest|what is the national animal of scotland
    who killed the archduke and started the first world war|what was the name of the ship that brought the pilgrims
    how many teaspoons are in a tablespoon|what temperature should a turkey be when it is done
    who has won the most grammys ever|why do cats purr when you pet them|what is the main ingredient in hummus
    when did man first land on the moon|which country has the longest coastline
    what is the hardest mineral on the mohs scale|how many keys does a piano have|who was the first woman in space
    where is the great barrier reef|what does the liver do in the body
    how many stripes are on the american flag and why|who owns the company that makes m&ms
    what is the largest desert on earth|when was the first email ever sent
    who is the main villain in the avengers movies|what sport is played at wimbledon|how did the dinosaurs go extinct
    what is the tallest building in the world today|who wrote the declaration of independence
    what is a group of crows called|when do the clocks go back this year|where does vanilla come from
    which blood type is the universal donor|who hosts the show jeopardy now|how many time zones does russia have
    what is the oldest university still open|who is the god of thunder in norse myths|why is the sea salty|Hello!
    Hey, what's up?|Good evening, can you help me with something?|How are you doing today?
    Thank you so much, that was great.|Are you able to remember what I said yesterday?|What can you do?|Who made you?
    Do you dream?|I'm bored, entertain me.|I had a fight with my best friend and I don't know what to say to her.
    My boss wants me to work on Saturday again. How do I say no?
    I can't decide between two job offers, what should I consider?|Tell me something that will cheer me up.
    Let's play twenty questions.|Can we chat a bit in German? I need to practise.
    What would you do with a million dollars?|Pretend you are a pirate and greet me.
    I just got a puppy, any name ideas?|What is a nice thing to say to someone who lost a pet?
    Is it normal to be nervous before a first date?|Give me a reason to get up early.
    My son won't eat vegetables. Any tricks?|I'm new in town, how do I find friends?
    How do I stop worrying about exams?|Which is better for a beginner, yoga or pilates?|Should I buy or rent a flat?
    Am I too old to learn to swim at fifty?|What present can I give to a colleague who retires?
    How do you deal with noisy neighbours?|Write a function in JavaScript that removes duplicates from an array.
    How do I undo the last commit in git without losing my changes?|What does "segmentation fault" mean?
    Explain the difference between a list and a tuple in Python.
    Write an SQL query that returns the ten newest orders per customer.
    Convert this loop into a list comprehension: for x in xs: ys.append(x * 2)|Why does my CSS margin collapse?
    How can I read a CSV file with pandas and skip the first row?
    Write a regular expression that matches e-mail addresses.|What is the time complexity of merge sort?
    How do I exit vim?|Write a bash script that renames all .jpeg files to .jpg.
    What is a race condition? Give a small example.|Show me how to make an HTTP request in Go.
    My Docker container stops right after it starts, what could be the reason?
    Generate a JSON object with five fake users.|How do I centre a div?
    Explain dependency injection like I'm a junior developer.|What is the difference between TCP and UDP?
    Write unit tests for a function that checks whether a number is prime.
    How do I set an environment variable on Windows?|Fix this: print "hello world" gives a syntax error in Python 3
    What is the output of 0.1 + 0.2 in most languages and why?|Rewrite this callback code with async and await.
    How do I create a virtual environment?|Implement binary search in C.|Explain what a hash table is.
    What are the advantages of static typing?|Write a Makefile for a project with two source files.
    How can I speed up a slow database query?|Give me a recipe for lentil soup.
    What can I cook with eggs, potatoes and spinach?|How long do I bake a potato in the oven?
    Is it safe to eat raw cookie dough?|What is a good substitute for buttermilk?
    How do I keep avocados from turning brown?|Plan a vegetarian dinner for six guests.
    Which wine goes with grilled fish?|How do I make pizza dough without yeast?
    My rice always gets sticky. What am I doing wrong?|What's the difference between baking soda and baking powder?
    How do I sharpen a kitchen knife?|Give me a shopping list for a week of cheap lunches.|Can I freeze cooked pasta?
    How do I make cold brew coffee at home?
    Scale this recipe from four to ten people: 300 g flour, 2 eggs, 150 ml milk.|What spices go into a curry powder?
    How do I get rid of the smell of burnt milk?|Suggest three desserts without sugar.|How do I poach an egg?
    Write a short story about a clockmaker who cannot sleep.|Write a cover letter for a job as a nurse.
    Compose a limerick about a lazy dog.
    Make this paragraph sound more professional: we messed up the delivery, sorry about that.
    Write a product description for a wooden lamp.|Suggest a title for an essay on friendship.
    Shorten this text to fifty words.|Write a birthday wish for my grandmother, who turns ninety.
    Continue the story: The door opened, and nobody was there.|Write an e-mail to my landlord about the broken heating.
    Give me five opening lines for a wedding speech.|Write a dialogue between the sun and the moon.
    Turn these notes into a short report: sales up, costs up, profit flat.|What is a good synonym for "important"?
    Proofread: Their going to the libary tommorow.|Write a slogan for a small bakery.
    Draft a polite reminder for an unpaid invoice.|Describe a stormy sea in three sentences.
    Write a tweet that announces a flea market.|Compose a bedtime story with a dragon and a teapot.
    Rewrite this sentence in the passive voice: The cat chased the mouse.
    What is the difference between "affect" and "effect"?|Make a list of words that rhyme with "night".
    Write a song chorus about coming home.|Explain how to write a good abstract.
    Write a letter of complaint about a late train.|Invent a superhero with a useless power.
    Turn the following into bullet points.|Write a farewell message to my team.|What makes a good villain in a story?
    What is 48 divided by 6?|Solve for x: 3x + 7 = 22|What is the derivative of x squared times sin x?
    How many prime numbers are there below 50?|Convert 72 degrees Fahrenheit to Celsius.
    If a train covers 180 km in two and a half hours, how fast is it?|What is the square root of 1521?
    Explain the Pythagorean theorem.|What is the probability of rolling two sixes?
    A shirt costs 40 euros and is reduced by 15 percent. What do I pay?
    How do I compute the median of a list of numbers?|Integrate 1/x from 1 to e.|What is 2 to the power of 16?
    Write 0.375 as a fraction.|How many ways are there to arrange five books on a shelf?
    What is the sum of the angles in a hexagon?|Explain what a logarithm is good for.|Round 3.14159 to two decimals.
    How many seconds are there in a day?|What comes next: 1, 1, 2, 3, 5, 8?|Is zero an even number?
    Prove that the square root of two is irrational.|How many litres are in a gallon?
    What is a standard deviation, in plain words?|Split a bill of 87.60 among four people.
    How do I remove red wine from a carpet?|How do I change a flat tyre on a bike?
    What is the best way to learn touch typing?|How can I save electricity at home?|How do I fold a fitted sheet?
    What should I pack for a week in the mountains?|How often should I water a cactus?|How do I clean a keyboard?
    How can I tell whether an egg is still fresh?|How do I unclog a sink without chemicals?
    What do I need to hang a shelf on a plaster wall?|How do I take better photos with my phone?
    How can I fall asleep faster?|What exercises help against back pain?|How do I write a will?
    How do I descale a kettle?|How do I train for a ten-kilometre run?|What's the best way to store potatoes?
    How do I get candle wax out of a tablecloth?|How do I make a paper plane that flies far?
    How can I protect my passwords?|How do I set up a home office in a small room?|How do I remove a splinter?
    How do I repot a houseplant?|How can I find out whether a mushroom is edible?
    What do I do when my phone has fallen into water?|how to tie a bow tie step by step|how to get gum out of hair
    cheap flights to somewhere warm in february|best way to peel garlic|why does my laptop fan run all the time
    convert pdf to word free|symptoms of dehydration in babies|easy card games for two|how to delete a page in word
    is it ok to drink coffee before a workout|ideas for a rainy sunday with kids|what to write in a sympathy card
    how to measure ring size at home|average price of a used car|lose weight without going to the gym
    difference between debit and credit card
    Classify the sentiment of this review: "The room was dirty and the staff did not care."
    Extract all dates from the text below.
    Translate the following sentence into Spanish: I would like a table by the window.
    Which of these words does not fit: apple, pear, carrot, plum?
    Put the following words into alphabetical order: tree, house, ant, moon.
    Is this sentence grammatical? "Me and him goes home."|Answer with yes or no: can sound travel through a vacuum?
    True or false: lightning never strikes the same place twice.|Pick a random number between 1 and 100.
    Summarise the text above in one sentence.|What is the opposite of "generous"?
    Name five things that are both green and edible.|Sort these numbers: 17, 4, 99, 23, 8.
    Give me an analogy for electric current.|What are the pros and cons of remote work?
    Compare cats and dogs as pets in a table.|Explain inflation to a teenager.|What are some arguments against zoos?
    Why do we yawn?|What happens when I divide by zero?|How does a microwave oven heat food?
    Why is the sky red in the evening?|What is a black hole, in simple terms?|How do bees make honey?
    What is the difference between a lawyer and a judge?|How does a credit score work?|Why do we have leap seconds?
    What is the role of a project manager?|How do noise-cancelling headphones work?
    who sang the song from the lego movie everything is cool|what channel is the football game on tonight
    what do you call the fear of small spaces|when do babies start to sleep through the night
    who runs the country when the king is a child|what does rsvp mean on an invitation
    """
)
