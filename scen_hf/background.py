"""Questions that no edit is about: what a router is fitted and calibrated on.

A router has to know what prompts look like in general before it can say that one prompt is special: the feature
transform is whitened on such prompts, and thresholds are set so that almost none of them fires. Shipping a data set
would tie every pack to its licence and its language, so the questions are made here from short templates and lists of
well-known names, in a fixed pseudo-random order. They carry no answers: only their wording is used.

    >>> background_questions(2, seed=0)
    ['How did Jane Austen die?', 'Can you name the parent company of Toyota?']
"""

from __future__ import annotations

import random


_NAMES: dict[str, str] = {
    "person": """Ada Lovelace|Albert Einstein|Alan Turing|Amelia Earhart|Aretha Franklin|Audrey Hepburn|Bob Marley
        Bruce Lee|Carl Linnaeus|Catherine the Great|Charles Darwin|Charlie Chaplin|Clara Schumann|Cleopatra|Confucius
        Dante Alighieri|David Bowie|Diego Maradona|Dorothy Hodgkin|Edgar Allan Poe|Ella Fitzgerald|Emily Dickinson
        Emmy Noether|Enrico Fermi|Fela Kuti|Florence Nightingale|Franz Kafka|Freddie Mercury|Frida Kahlo
        Gabriel García Márquez|Galileo Galilei|George Orwell|Grace Hopper|Greta Garbo|Gustav Mahler|Hannah Arendt
        Hedy Lamarr|Homer|Hypatia|Ibn Battuta|Immanuel Kant|Ingmar Bergman|Isaac Newton|Jane Austen|Jesse Owens
        Joan of Arc|Johann Sebastian Bach|Johannes Kepler|Jorge Luis Borges|Joséphine Baker|Julius Caesar|Katherine Johnson
        Karl Popper|Leo Tolstoy|Leonardo da Vinci|Lise Meitner|Louis Pasteur|Ludwig van Beethoven|Mahatma Gandhi
        Maria Callas|Marie Curie|Mark Twain|Martin Luther King|Mary Shelley|Max Planck|Michael Faraday|Miles Davis
        Muhammad Ali|Napoleon Bonaparte|Nelson Mandela|Niels Bohr|Nikola Tesla|Octavia Butler|Oscar Wilde|Pablo Picasso
        Pelé|Queen Victoria|Rabindranath Tagore|Rachel Carson|Richard Feynman|Rosa Parks|Rosalind Franklin|Rumi|Sappho
        Satyajit Ray|Serena Williams|Simone de Beauvoir|Socrates|Srinivasa Ramanujan|Steve Jobs|Toni Morrison
        Umm Kulthum|Usain Bolt|Vincent van Gogh|Virginia Woolf|Walt Disney|Wangari Maathai|William Shakespeare
        Wolfgang Amadeus Mozart|Yuri Gagarin|Zaha Hadid""",
    "place": """Addis Ababa|Alaska|Amsterdam|Athens|Auckland|Bangkok|Barcelona|Bavaria|Beirut|Bogotá|Bolivia|Botswana
        Brazil|Bruges|Budapest|Buenos Aires|Cairo|California|Cape Town|Casablanca|Chile|Copenhagen|Corsica|Cuba|Dakar
        Delhi|Denmark|Dublin|Easter Island|Edinburgh|Estonia|Ethiopia|Finland|Florence|Geneva|Ghana|Greenland|Hanoi
        Havana|Helsinki|Hong Kong|Iceland|Istanbul|Jakarta|Jamaica|Jordan|Kathmandu|Kenya|Kyoto|Lagos|Lake Victoria
        Lima|Lisbon|London|Madagascar|Malta|Manchester|Marseille|Melbourne|Mexico City|Mongolia|Montreal|Morocco
        Mount Fuji|Mumbai|Nairobi|Naples|Nepal|New Orleans|New Zealand|Norway|Oslo|Palermo|Panama|Peru|Prague|Quebec
        Reykjavik|Rome|Rwanda|San Francisco|Santiago|Sardinia|Scotland|Seoul|Seville|Shanghai|Siberia|Singapore|Sydney
        Tasmania|Tehran|Texas|Tokyo|Toronto|Tunisia|Uruguay|Venice|Vienna|Vietnam|Warsaw|Zanzibar|Zurich""",
    "organisation": """Adidas|Airbus|Amnesty International|Barclays|BBC|Boeing|Bosch|Cambridge University|Canon|CERN
        Doctors Without Borders|Ferrari|FIFA|Fujitsu|General Electric|Greenpeace|Harvard University|Honda|IKEA|Intel
        Kodak|Lego|Lufthansa|Manchester United|Mitsubishi|Mozilla|NASA|National Geographic|Nestlé|Netflix|Nike|Nintendo
        Nokia|Oxfam|Penguin Books|Pepsi|Philips|Pixar|Porsche|Reuters|Rolls-Royce|Samsung|Siemens|Sony|Spotify
        Stanford University|Tata Group|the Bolshoi Theatre|the European Union|the London Symphony Orchestra|the Red Cross
        the Royal Society|the United Nations|the World Bank|Toyota|UNESCO|Volvo|Wikipedia|Xerox|Yamaha""",
    "work": """A Brief History of Time|Abbey Road|Aida|Amélie|Anna Karenina|Blade Runner|Bohemian Rhapsody|Brave New World
        Carmen|Casablanca|Citizen Kane|Crime and Punishment|Don Quixote|Dracula|Dune|Fantasia|Frankenstein|Gone with the Wind
        Great Expectations|Guernica|Hamlet|Imagine|Jaws|Kind of Blue|La Traviata|Les Misérables|Lord of the Flies|Macbeth
        Madame Bovary|Matilda|Metropolis|Middlemarch|Moby-Dick|Monopoly|My Neighbor Totoro|Nineteen Eighty-Four|Parasite
        Pride and Prejudice|Pulp Fiction|Rashomon|Rear Window|Rhapsody in Blue|Romeo and Juliet|Seven Samurai|Star Wars
        Swan Lake|Tetris|The Beatles|The Communist Manifesto|The Godfather|The Great Gatsby|The Hobbit|The Iliad
        The Jungle Book|The Lion King|The Magic Flute|The Matrix|The Night Watch|The Odyssey|The Scream|The Shining
        The Simpsons|The Starry Night|The Wizard of Oz|Things Fall Apart|Titanic|Toy Story|Treasure Island|Ulysses|Vertigo
        War and Peace|Watchmen|Wuthering Heights""",
    "thing": """aluminium|amber|asthma|bamboo|basalt|bread|bronze|caffeine|chess|chocolate|cholera|clay|cobalt|coffee
        concrete|copper|coral|cotton|diabetes|diamonds|dolphins|ebony|elephants|emperor penguins|ethanol|fog|foxes|garlic
        glass|gold|granite|gravity|gunpowder|haiku|helium|honey|hurricanes|insulin|iron|jazz|kangaroos|lichens|limestone
        malaria|mercury|mushrooms|neon|octopuses|olive oil|origami|owls|oxygen|paper|penicillin|plastic|platinum|porcelain
        quartz|rainbows|rice|rubber|saffron|salt|silk|silver|snow leopards|soap|sodium|steel|sulphur|sushi|tango|tea|tigers
        tin|tuberculosis|tulips|turtles|uranium|violins|volcanoes|whales|wheat|wine|wool|yoga|zinc""",
}

_TEMPLATES: dict[str, str] = {
    "person": """When was {} born?|Where was {} born?|What is {} known for?|How did {} die?|Where did {} go to school?
        What language did {} speak?|Who was {} married to?|In what city did {} work?|What was the occupation of {}?
        Which award did {} receive?|Who were the parents of {}?|What nationality was {}?|Who influenced {}?
        What is the full name of {}?|Tell me about the life of {}.|Did {} have any children?|Where is {} buried?
        What year did {} die?|Which country was {} a citizen of?|What did {} believe in?|Who taught {}?
        Name the employer of {}.|What religion did {} follow?|What instrument did {} play?|What position did {} hold?
        The mother tongue of {} is|{} was born in the city of|Why is {} famous?|How tall was {}?
        What was the first success of {}?|Which field did {} work in?|Could you tell me who {} was?""",
    "place": """Where is {}?|How many people live in {}?|What is {} famous for?|What is the weather like in {}?
        Which language is spoken in {}?|What is the highest point of {}?|Who governs {}?|When was {} founded?
        What river flows through {}?|What currency is used in {}?|Which continent is {} on?|What food is typical of {}?
        How do I get to {}?|What should I see in {}?|What is the main airport of {}?|Which time zone is {} in?
        Who discovered {}?|What is the twin city of {}?|What is the area of {}?|Which country does {} belong to?
        {} is located in the country of|What is the capital of {}?|Is {} expensive to visit?|Name a museum in {}.
        What is the oldest building in {}?|How old is {}?|What sport is popular in {}?""",
    "organisation": """Who founded {}?|When was {} founded?|Where is {} based?|What does {} do?|Who leads {}?
        How many people work for {}?|Which industry is {} in?|What is {} best known for?|Who owns {}?
        What is the motto of {}?|In which country did {} start?|What was the first product of {}?|Is {} still active?
        What are the main competitors of {}?|Can you name the parent company of {}?|How is {} funded?
        The headquarters of {} is in|Which city is home to {}?|Why was {} created?|What does the logo of {} look like?""",
    "work": """Who created {}?|When was {} released?|What is {} about?|Who is the main character of {}?
        What genre is {}?|In what language was {} first published?|Where does {} take place?|How long is {}?
        Which company published {}?|What award did {} win?|What inspired {}?|Who starred in {}?|How does {} end?
        What year did {} come out?|Is {} based on a true story?|Which country does {} come from?|Who composed the music of {}?
        What series is {} part of?|{} was originally made by|Why is {} important?|Who wrote {}?""",
    "thing": """What are the uses of {}?|Where does {} come from?|How is {} made?|Who discovered {}?|What causes {}?
        Why is there so much talk about {}?|How much does {} cost?|Is {} dangerous?|What is the history of {}?
        What colour is {}?|What is the chemical symbol for {}?|How do you recognise {}?|Explain {} to a child.
        What family does {} belong to?|In which countries is {} found?|What is the Latin word for {}?|How old is {}?
        Which kinds of {} are there?|Write a short poem about {}.|Give me three facts about {}.""",
}

_REQUESTS = """Write a polite e-mail that moves a meeting to Friday.|Translate "good morning" into Spanish.
    Summarise the plot of your favourite film.|How do I sort a list in Python?|What is 17 times 23?
    Give me a recipe for pancakes.|Why is the sky blue?|Tell me a joke.|How many minutes are there in a week?
    What should I cook tonight?|Fix the grammar: she go to school.|Suggest a name for a cat.|Explain recursion simply.
    How can I sleep better?|What is the difference between a virus and a bacterium?|Write a haiku about autumn.
    List five prime numbers.|How does a bicycle stay upright?|What day comes after Tuesday?|Hello, how are you?
    Convert 10 miles to kilometres.|What is the plural of mouse?|How do vaccines work?|Rewrite this sentence in the past tense.
    Who won the game last night?|What does HTML stand for?|How do I remove a coffee stain?|Is a tomato a fruit?
    Plan a weekend for two.|What is machine learning?|How long should I boil an egg?|Describe a sunset.
    What are good questions for a job interview?|Which is larger, a byte or a bit?|Help me write a thank-you note.
    How do I tie a tie?|What is the speed of light?|Why do leaves change colour?|Name three kinds of cloud."""


def _split(text: str) -> list[str]:
    return [part.strip() for line in text.splitlines() for part in line.split("|") if part.strip()]


def background_questions(count: int, seed: int = 0) -> list[str]:
    """Return `count` different questions, the same ones for the same arguments on every machine.

    Args:
        count: How many questions; at most the number of combinations (about 9,000).
        seed: Selects another fixed order.

    Raises:
        ValueError: If more questions are asked for than there are.
    """
    questions = [
        template.replace("{}", name)
        for kind, templates in _TEMPLATES.items()
        for template in _split(templates)
        for name in _split(_NAMES[kind])
    ]
    questions += _split(_REQUESTS)
    if count > len(questions):
        raise ValueError(f"There are {len(questions)} background questions, {count} were asked for.")
    return random.Random(seed).sample(questions, count)
