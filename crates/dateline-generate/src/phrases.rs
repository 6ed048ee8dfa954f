//! The words and sentences of each language. All text is in NFC. A change here changes the records of every seed.

use super::languages::Language;

/// Every language. The order is arbitrary, but must not change.
pub(super) const LANGUAGES: [&Language; 10] = [
    &ENGLISH,
    &FRENCH,
    &RUSSIAN,
    &KAZAKH,
    &ARABIC,
    &CHINESE,
    &GREEK,
    &GEORGIAN,
    &HINDI,
    &KOREAN,
];

/// Languages of articles: the first ones, of which the very first is by far the most frequent.
pub(super) const WRITTEN: &[&Language] = LANGUAGES.split_at(6).0;

pub(super) const ENGLISH: Language = Language {
    tag: "en",
    latin_tag: "en",
    given: &[("Alice", "Alice"), ("James", "James"), ("Ruth", "Ruth"), ("Owen", "Owen"), ("Grace", "Grace"), ("Peter", "Peter"), ("Nora", "Nora"), ("Simon", "Simon"), ("Helen", "Helen"), ("Miles", "Miles")],
    family: &[("Ashford", "Ashford"), ("Brennan", "Brennan"), ("Calloway", "Calloway"), ("Doyle", "Doyle"), ("Ellison", "Ellison"), ("Fairbanks", "Fairbanks"), ("Garrow", "Garrow"), ("Hale", "Hale"), ("Irving", "Irving"), ("Kendrick", "Kendrick")],
    cities: &[("Tampa", "Tampa"), ("Leeds", "Leeds"), ("Halifax", "Halifax"), ("Perth", "Perth"), ("Dunedin", "Dunedin"), ("Nairobi", "Nairobi")],
    bodies: [("Republic", "Republic"), ("Council", "Council"), ("Ministry", "Ministry"), ("Brigade", "Brigade"), ("Programme", "Programme"), ("Herald", "Herald"), ("Foundation", "Foundation"), ("Residents", "Residents")],
    body: ("{w} of {c}", "{w} of {c}"),
    is_family_first: false,
    headlines: &["{a} and {b} agree on next steps in {c}", "{a} answers {b} over {c} talks", "Talks in {c}: {a} sets terms", "“No deal yet”: {a} leaves {c} without {b}", "{c} 👍 welcomes {a}"],
    appearance: "{a}, which readers had not met in these pages before, was named in {c} ({d}).",
    tie: "{a} has been bound to {b} for some time ({d}), according to papers seen in {c}.",
    happening: "In {c}, {a} and {b} met before {n} guests ({d}); both sides called the outcome useful.",
    filler: &[
        "{a} told reporters that the work with {b} would go on, whatever happened in {c}.",
        "About {n} people were counted at the gates in {c} by noon.",
        "“We have heard this before,” said {a}, “and we shall hear it again.”",
        "Nobody at {b} would say who had paid for it.",
        "The plan, first drawn up in {c}, names {n} tasks and no dates.",
        "Neither {a} nor {b} replied to written questions.",
        "Prices in {c} rose by {n} per cent within the year, and wages did not follow.",
        "It was the third such meeting since the spring, and the shortest.",
        "An earlier draft, which this newspaper has seen, had left {a} out altogether.",
        "Observers in {c} put the number at {n}; {b} speaks of fewer.",
    ],
};

const FRENCH: Language = Language {
    tag: "fr",
    latin_tag: "fr",
    given: &[("Hélène", "Helene"), ("François", "Francois"), ("Amélie", "Amelie"), ("Étienne", "Etienne"), ("Zoé", "Zoe"), ("Jérôme", "Jerome"), ("Maïa", "Maia"), ("Noël", "Noel"), ("Clémence", "Clemence"), ("Théo", "Theo")],
    family: &[("Lefèvre", "Lefevre"), ("Béranger", "Beranger"), ("Gauthier", "Gauthier"), ("Lemaître", "Lemaitre"), ("Pélissier", "Pelissier"), ("Rivière", "Riviere"), ("Sénéchal", "Senechal"), ("Vasseur", "Vasseur"), ("Dubœuf", "Duboeuf"), ("Marchand", "Marchand")],
    cities: &[("Besançon", "Besancon"), ("Genève", "Geneve"), ("Liège", "Liege"), ("Québec", "Quebec"), ("Yaoundé", "Yaounde"), ("Nîmes", "Nimes")],
    bodies: [("République", "Republique"), ("Conseil", "Conseil"), ("Ministère", "Ministere"), ("Brigade", "Brigade"), ("Programme", "Programme"), ("Dépêche", "Depeche"), ("Fondation", "Fondation"), ("Habitants", "Habitants")],
    body: ("{w} de {c}", "{w} of {c}"),
    is_family_first: false,
    headlines: &["À {c}, {a} et {b} s’accordent", "{a} répond à {b}", "Négociations de {c} : {a} pose ses conditions"],
    appearance: "C’est à {c} que {a} a été cité pour la première fois ({d}).",
    tie: "Selon des documents consultés à {c}, {a} est lié à {b} de longue date ({d}).",
    happening: "À {c}, {a} et {b} se sont retrouvés devant {n} invités ({d}) ; l’échange a été jugé utile.",
    filler: &[
        "« Nous verrons bien », a répondu {a}, sans nommer {b}.",
        "Près de {n} personnes attendaient déjà à {c} à midi.",
        "Le projet, né à {c}, prévoit {n} mesures et aucun délai.",
        "Ni {a} ni {b} n’ont souhaité s’exprimer.",
        "Les prix ont augmenté de {n} % en un an à {c}.",
        "C’était la troisième réunion depuis l’été, et la plus brève.",
    ],
};

const RUSSIAN: Language = Language {
    tag: "ru",
    latin_tag: "ru-Latn",
    given: &[("Анна", "Anna"), ("Сергей", "Sergei"), ("Ольга", "Olga"), ("Фёдор", "Fyodor"), ("Вера", "Vera"), ("Юрий", "Yuri"), ("Ирина", "Irina"), ("Павел", "Pavel"), ("Дарья", "Darya"), ("Андрей", "Andrei")],
    family: &[("Белых", "Belykh"), ("Савченко", "Savchenko"), ("Черных", "Chernykh"), ("Гончар", "Gonchar"), ("Шевчук", "Shevchuk"), ("Сытник", "Sytnik"), ("Мороз", "Moroz"), ("Короткевич", "Korotkevich"), ("Долгих", "Dolgikh"), ("Бондарь", "Bondar")],
    cities: &[("Тверь", "Tver"), ("Псков", "Pskov"), ("Омск", "Omsk"), ("Иркутск", "Irkutsk"), ("Калуга", "Kaluga"), ("Орёл", "Oryol")],
    bodies: [("Республика", "Respublika"), ("Совет", "Sovet"), ("Министерство", "Ministerstvo"), ("Бригада", "Brigada"), ("Программа", "Programma"), ("Вестник", "Vestnik"), ("Фонд", "Fond"), ("Жители", "Zhiteli")],
    body: ("{w} — {c}", "{w} of {c}"),
    is_family_first: false,
    headlines: &["{a} и {b} договорились: {c}", "{a}: ответ на вопросы о {b}", "Переговоры в городе {c} продолжает {a}"],
    appearance: "Впервые в наших новостях — {a} ({c}, {d}).",
    tie: "По документам из города {c}, {a} давно сотрудничает: {b} ({d}).",
    happening: "В городе {c} встретились {a} и {b}, присутствовали {n} гостей ({d}); итоги названы полезными.",
    filler: &[
        "«Мы это уже слышали», — так {a} отвечает на слова «{b}».",
        "К полудню в городе {c} собралось около {n} человек.",
        "План, составленный в городе {c}, содержит {n} пунктов и ни одного срока.",
        "Ни {a}, ни {b} на письменные вопросы не ответили.",
        "За год цены выросли на {n} процентов.",
        "Это была третья встреча с весны — и самая короткая.",
    ],
};

const KAZAKH: Language = Language {
    tag: "kk-Cyrl",
    latin_tag: "kk-Latn",
    given: &[("Айгерім", "Aigerim"), ("Ерлан", "Yerlan"), ("Гүлнәр", "Gulnar"), ("Қанат", "Qanat"), ("Әсел", "Asel"), ("Нұрлан", "Nurlan"), ("Мәдина", "Madina"), ("Тимур", "Timur"), ("Шолпан", "Sholpan"), ("Бауыржан", "Bauyrzhan")],
    family: &[("Әбдіров", "Abdirov"), ("Байтұрсын", "Baitursyn"), ("Жұмабай", "Zhumabai"), ("Қасымов", "Qasymov"), ("Нұрпейіс", "Nurpeis"), ("Омарұлы", "Omaruly"), ("Сейіт", "Seiit"), ("Тоқтар", "Toqtar"), ("Үмбет", "Umbet"), ("Ысқақ", "Ysqaq")],
    cities: &[("Астана", "Astana"), ("Алматы", "Almaty"), ("Шымкент", "Shymkent"), ("Қарағанды", "Qaragandy"), ("Ақтөбе", "Aqtobe"), ("Өскемен", "Oskemen")],
    bodies: [("республикасы", "Respublikasy"), ("кеңесі", "Kenesi"), ("министрлігі", "Ministrligi"), ("бригадасы", "Brigadasy"), ("бағдарламасы", "Bagdarlamasy"), ("хабаршысы", "Habarshysy"), ("қоры", "Qory"), ("тұрғындары", "Turgyndary")],
    body: ("{c} {w}", "{w} of {c}"),
    is_family_first: false,
    headlines: &["{c}: {a} мен {b} келісімге келді", "{a} сұрақтарға жауап берді", "{c} қаласындағы кездесу: {a}"],
    appearance: "{c} қаласында алғаш рет {a} туралы айтылды ({d}).",
    tie: "{c} қаласындағы құжаттар бойынша, {a} мен {b} бұрыннан бірге жұмыс істейді ({d}).",
    happening: "{c} қаласында {a} мен {b} кездесті, {n} қонақ қатысты ({d}).",
    filler: &[
        "«Біз мұны бұрын да естігенбіз», — деді {a}.",
        "Түске қарай {c} қаласында {n} шақты адам жиналды.",
        "Жоспарда {n} міндет бар, ал мерзімі көрсетілмеген.",
        "{a} да, {b} да сұрақтарға жауап берген жоқ.",
        "Бір жылда бағалар {n} пайызға өсті.",
    ],
};

const ARABIC: Language = Language {
    tag: "ar",
    latin_tag: "ar-Latn",
    given: &[("ليلى", "Layla"), ("يوسف", "Yusuf"), ("مريم", "Maryam"), ("خالد", "Khalid"), ("سلمى", "Salma"), ("طارق", "Tariq"), ("نور", "Nur"), ("سامي", "Sami"), ("هدى", "Huda"), ("عمر", "Umar")],
    family: &[("الحداد", "al-Haddad"), ("منصور", "Mansur"), ("الخطيب", "al-Khatib"), ("درويش", "Darwish"), ("النجار", "al-Najjar"), ("صالح", "Salih"), ("العلي", "al-Ali"), ("فارس", "Faris"), ("القاسم", "al-Qasim"), ("زيدان", "Zaydan")],
    cities: &[("عمّان", "Amman"), ("تونس", "Tunis"), ("مسقط", "Masqat"), ("البصرة", "al-Basra"), ("حلب", "Halab"), ("طنجة", "Tanja")],
    bodies: [("جمهورية", "Jumhuriyya"), ("مجلس", "Majlis"), ("وزارة", "Wizara"), ("لواء", "Liwa"), ("برنامج", "Barnamaj"), ("صحيفة", "Sahifa"), ("مؤسسة", "Muassasa"), ("أهالي", "Ahali")],
    body: ("{w} {c}", "{w} of {c}"),
    is_family_first: false,
    headlines: &["{a} و{b} يتفقان في {c}", "{a} يردّ على {b}", "محادثات {c}: {a} يضع شروطه"],
    appearance: "ورد اسم {a} للمرة الأولى في {c} ({d}).",
    tie: "تفيد وثائق من {c} بأن {a} مرتبط منذ زمن مع {b} ({d}).",
    happening: "التقى {a} و{b} في {c} بحضور {n} ضيفًا ({d})، ووُصفت النتائج بأنها مفيدة.",
    filler: &[
        "قال {a}: «سمعنا هذا من قبل»، ولم يذكر {b}.",
        "تجمّع نحو {n} شخصًا في {c} عند الظهر.",
        "تتضمن الخطة {n} بندًا بلا مواعيد.",
        "لم يردّ {a} ولا {b} على الأسئلة المكتوبة.",
        "ارتفعت الأسعار في {c} بنسبة {n} في المئة خلال عام.",
    ],
};

const CHINESE: Language = Language {
    tag: "zh-Hans",
    latin_tag: "zh-Latn",
    given: &[("丽华", "Lihua"), ("建国", "Jianguo"), ("秀英", "Xiuying"), ("志强", "Zhiqiang"), ("晓梅", "Xiaomei"), ("文博", "Wenbo"), ("雨桐", "Yutong"), ("浩然", "Haoran"), ("思远", "Siyuan"), ("静怡", "Jingyi")],
    family: &[("王", "Wang"), ("李", "Li"), ("张", "Zhang"), ("陈", "Chen"), ("欧阳", "Ouyang"), ("赵", "Zhao"), ("黄", "Huang"), ("司马", "Sima"), ("吴", "Wu"), ("诸葛", "Zhuge")],
    cities: &[("成都", "Chengdu"), ("哈尔滨", "Harbin"), ("厦门", "Xiamen"), ("乌鲁木齐", "Urumqi"), ("南京", "Nanjing"), ("昆明", "Kunming")],
    bodies: [("共和国", "Gongheguo"), ("理事会", "Lishihui"), ("部", "Bu"), ("旅", "Lu"), ("计划", "Jihua"), ("日报", "Ribao"), ("基金会", "Jijinhui"), ("居民", "Jumin")],
    body: ("{c}{w}", "{w} of {c}"),
    is_family_first: true,
    headlines: &["{a}与{b}在{c}达成一致", "{a}回应{b}", "{c}会谈：{a}提出条件"],
    appearance: "{a}首次在{c}见诸报端（{d}）。",
    tie: "据{c}的文件，{a}与{b}早有往来（{d}）。",
    happening: "{a}与{b}在{c}会面，{n}位来宾出席（{d}），双方称成果有益。",
    filler: &[
        "{a}说：“这话我们早就听过了。”{b}没有回应。",
        "到中午，{c}已有约{n}人聚集。",
        "计划列出了{n}项任务，却没有期限。",
        "{a}和{b}都没有答复书面提问。",
        "一年之内，{c}的物价上涨了{n}%。",
        "这是入春以来的第三次会谈，也是最短的一次。",
    ],
};

/// A language for names of persons and bodies, without articles.
macro_rules! named_only {
    ($($part:tt)*) => {
        Language { headlines: &[], appearance: "", tie: "", happening: "", filler: &[], $($part)* }
    };
}

const GREEK: Language = named_only! {
    tag: "el",
    latin_tag: "el-Latn",
    is_family_first: false,
    given: &[("Ελένη", "Eleni"), ("Γιώργος", "Giorgos"), ("Μαρία", "Maria"), ("Νίκος", "Nikos"), ("Σοφία", "Sofia"), ("Πέτρος", "Petros"), ("Δάφνη", "Dafni"), ("Άρης", "Aris"), ("Ιωάννα", "Ioanna"), ("Θάνος", "Thanos")],
    family: &[("Παπαδάκη", "Papadaki"), ("Οικονόμου", "Oikonomou"), ("Γεωργίου", "Georgiou"), ("Μακρή", "Makri"), ("Ξένου", "Xenou"), ("Βλάχου", "Vlachou"), ("Αγγέλου", "Angelou"), ("Δήμου", "Dimou"), ("Ρήγα", "Riga"), ("Στεφάνου", "Stefanou")],
    cities: &[("Πάτρα", "Patra"), ("Βόλος", "Volos"), ("Χανιά", "Chania"), ("Λάρισα", "Larisa"), ("Κοζάνη", "Kozani"), ("Ρόδος", "Rodos")],
    bodies: [("Δημοκρατία", "Dimokratia"), ("Συμβούλιο", "Symvoulio"), ("Υπουργείο", "Ypourgeio"), ("Ταξιαρχία", "Taxiarchia"), ("Πρόγραμμα", "Programma"), ("Κήρυκας", "Kirykas"), ("Ίδρυμα", "Idryma"), ("Κάτοικοι", "Katoikoi")],
    body: ("{w} — {c}", "{w} of {c}"),
};

const GEORGIAN: Language = named_only! {
    tag: "ka",
    latin_tag: "ka-Latn",
    is_family_first: false,
    given: &[("ნინო", "Nino"), ("გიორგი", "Giorgi"), ("თამარ", "Tamar"), ("ლევან", "Levan"), ("ქეთევან", "Ketevan"), ("ზურაბ", "Zurab"), ("მარიამ", "Mariam"), ("ირაკლი", "Irakli"), ("ელენე", "Elene"), ("დავით", "Davit")],
    family: &[("ბერიძე", "Beridze"), ("კაპანაძე", "Kapanadze"), ("გელაშვილი", "Gelashvili"), ("მაისურაძე", "Maisuradze"), ("ლომიძე", "Lomidze"), ("წიკლაური", "Tsiklauri"), ("ხუციშვილი", "Khutsishvili"), ("ჯაფარიძე", "Japaridze"), ("აბაშიძე", "Abashidze"), ("ჩხეიძე", "Chkheidze")],
    cities: &[("ბათუმი", "Batumi"), ("ქუთაისი", "Kutaisi"), ("გორი", "Gori"), ("თელავი", "Telavi"), ("ფოთი", "Poti"), ("რუსთავი", "Rustavi")],
    bodies: [("რესპუბლიკა", "Respublika"), ("საბჭო", "Sabcho"), ("სამინისტრო", "Saministro"), ("ბრიგადა", "Brigada"), ("პროგრამა", "Programa"), ("მაცნე", "Matsne"), ("ფონდი", "Pondi"), ("მოსახლეობა", "Mosakhleoba")],
    body: ("{c} — {w}", "{w} of {c}"),
};

const HINDI: Language = named_only! {
    tag: "hi",
    latin_tag: "hi-Latn",
    is_family_first: false,
    given: &[("आशा", "Asha"), ("राहुल", "Rahul"), ("मीना", "Meena"), ("विजय", "Vijay"), ("सुनीता", "Sunita"), ("अरुण", "Arun"), ("लता", "Lata"), ("मोहन", "Mohan"), ("गीता", "Geeta"), ("किरण", "Kiran")],
    family: &[("शर्मा", "Sharma"), ("वर्मा", "Verma"), ("गुप्ता", "Gupta"), ("मिश्रा", "Mishra"), ("यादव", "Yadav"), ("जोशी", "Joshi"), ("पटेल", "Patel"), ("नायर", "Nair"), ("सिंह", "Singh"), ("राव", "Rao")],
    cities: &[("जयपुर", "Jaipur"), ("पटना", "Patna"), ("भोपाल", "Bhopal"), ("पुणे", "Pune"), ("लखनऊ", "Lucknow"), ("इंदौर", "Indore")],
    bodies: [("गणराज्य", "Ganarajya"), ("परिषद", "Parishad"), ("मंत्रालय", "Mantralaya"), ("ब्रिगेड", "Brigade"), ("कार्यक्रम", "Karyakram"), ("समाचार", "Samachar"), ("न्यास", "Nyas"), ("निवासी", "Nivasi")],
    body: ("{c} {w}", "{w} of {c}"),
};

const KOREAN: Language = named_only! {
    tag: "ko",
    latin_tag: "ko-Latn",
    is_family_first: true,
    given: &[("서연", "Seoyeon"), ("민준", "Minjun"), ("지우", "Jiwoo"), ("하은", "Haeun"), ("도윤", "Doyun"), ("수아", "Sua"), ("예준", "Yejun"), ("지민", "Jimin"), ("현우", "Hyunwoo"), ("은지", "Eunji")],
    family: &[("김", "Kim"), ("이", "Lee"), ("박", "Park"), ("최", "Choi"), ("정", "Jung"), ("강", "Kang"), ("조", "Cho"), ("윤", "Yoon"), ("장", "Jang"), ("임", "Lim")],
    cities: &[("부산", "Busan"), ("대구", "Daegu"), ("인천", "Incheon"), ("광주", "Gwangju"), ("전주", "Jeonju"), ("강릉", "Gangneung")],
    bodies: [("공화국", "Gonghwaguk"), ("위원회", "Wiwonhoe"), ("부", "Bu"), ("여단", "Yeodan"), ("프로그램", "Program"), ("일보", "Ilbo"), ("재단", "Jaedan"), ("주민", "Jumin")],
    body: ("{c} {w}", "{w} of {c}"),
};
