# Textes français. Le code de chaque phrase est dans le registre (src/registry/) ; `none` est un paramètre absent.


## End

end_caller_hung_up = L'appelant a raccroché.
end_caller_hung_up_speaking = L'appelant a raccroché pendant que l'agent parlait.
end_caller_hung_up_unheard = L'appelant a raccroché avant d'avoir entendu l'agent.
    .remedy = Regardez le délai entre la réponse et le premier son.
end_transferred = L'appelant a été transféré.
end_transfer_failed = L'appelant n'a pas pu être transféré.
    .remedy = Vérifiez le numéro du transfert et que l'opérateur accepte les transferts.
end_agent_hung_up = L'agent a raccroché.
end_agent_hung_up_complete = L'agent a raccroché après l'au revoir, entièrement prononcé.
end_agent_hung_up_cut = L'agent a raccroché ; son au revoir n'a pas été entendu en entier.
end_answering_machine = Un répondeur a pris l'appel ; aucun message n'a été laissé.
end_message_left = Un répondeur a pris l'appel ; le message y a été laissé.
end_caller_cancelled = L'appelant a renoncé avant la réponse.
end_busy = Le correspondant appelé est occupé.
end_no_answer = Le correspondant appelé n'a pas répondu.
end_idle_timeout = L'agent a raccroché : l'appelant ne disait plus rien.
end_max_duration = L'agent a raccroché : la durée maximale de l'appel était atteinte.
    .remedy = Augmentez la durée maximale de l'agent si les conversations en ont besoin.
end_engine_unavailable = Le moteur vocal n'était pas joignable au début de l'appel.
    .remedy = Vérifiez l'adresse du moteur et le réseau de ce serveur.
end_engine_lost = Le moteur vocal a été perdu pendant l'appel et n'est pas revenu.
    .remedy = Regardez la cause ci-dessous ; si elle se répète, prévoyez un moteur de secours.
end_engine_refused = Le moteur vocal a refusé la clé ou les réglages de l'agent.
    .remedy = Remplacez la clé ou corrigez le réglage indiqué.
end_media_lost = Le son de l'appelant n'arrivait plus : l'appel a été libéré.
end_one_way_audio = L'appelant nous entendait, nous ne l'entendions pas : { $sent } paquets envoyés, 0 reçu.
    .remedy = Ouvrez les ports UDP du son (rtp.ports, 10000-20000) vers ce serveur ; derrière un routeur, réglez l'adresse publique (rtp.public_address), ou laissez la ligne la trouver (nat).
end_one_way_audio_private = Son à sens unique : nous avons envoyé { $sent } paquets à { $address }, une adresse privée, et n'en avons reçu aucun.
    .remedy = L'autre côté est derrière un routeur et son audio ne nous parvient pas : ouvrez les ports UDP du son (rtp.ports, 10000-20000) vers ce serveur, et derrière un routeur à nous, réglez l'adresse publique (rtp.public_address) ou laissez la ligne la trouver (nat).
end_one_way_audio_ours_private = Son à sens unique : nous avons envoyé { $sent } paquets et n'en avons reçu aucun ; notre adresse audio annoncée est privée ({ $address }).
    .remedy = Réglez l'adresse publique (rtp.public_address), ou un serveur STUN (nat.stun_server) ; derrière un routeur qui donne à chaque pair un autre port, un relais (nat = turn).
end_one_way_audio_stun = Son à sens unique : nous avons envoyé { $sent } paquets et n'en avons reçu aucun, à l'adresse vue par le serveur STUN.
    .remedy = Le routeur devant nous donne à chaque pair un autre port (NAT symétrique), cette adresse ne sert donc à rien à l'autre côté : faites relayer le son de cette ligne par un serveur TURN (nat = turn), ou redirigez les ports du son et réglez rtp.public_address.
end_session_expired = L'autre côté a disparu sans raccrocher : la session n'a pas été renouvelée.
end_operator_hung_up = Un opérateur a mis fin à l'appel.
end_draining = Arrêt du processus en cours d'appel : le service s'éteignait.
    .remedy = Donnez plus de temps à l'arrêt (server.drain_s) si des appels y sont coupés.
end_overload = Appel refusé ou coupé : le service était à sa limite.
    .remedy = Augmentez les limites ou ajoutez un serveur.
end_rejected = Appel refusé par une règle.
end_rejected_blocked = Appel refusé : l'appelant est sur la liste de refus.
end_agent_stopped = Appel refusé : l'agent de cette ligne est arrêté.
    .remedy = Démarrez-le : POST /agents/ID/start.
end_closed = Appel refusé : en dehors des heures d'ouverture.
end_no_balance = Appel refusé ou terminé : le solde ou le budget est épuisé.
    .remedy = Rechargez le solde ou augmentez le budget.
end_concurrency = Appel refusé : le nombre d'appels simultanés est atteint.
    .remedy = Augmentez le nombre d'appels simultanés du compte ou de l'agent.
end_rate_limited = Appel refusé : la ligne ou le compte avait reçu tous les nouveaux appels permis pour cette seconde.
    .remedy = Augmentez le nombre d'appels par seconde de la ligne ou du compte, ou demandez-en moins à l'autre côté.
end_rejected_offer = Appel refusé : l'offre audio de l'opérateur est inutilisable.
    .remedy = Regardez l'offre SDP dans les messages ci-dessous.
end_rejected_srtp_required = Appel refusé : cette ligne exige un son chiffré (SRTP) et l'opérateur n'en propose pas.
    .remedy = Activez SRTP chez l'opérateur ou rendez-le facultatif sur la ligne.
end_encryption_failed = Appel terminé : le son devait être chiffré par DTLS, et les deux côtés ne se sont pas accordés sur des clés.
    .remedy = Regardez la cause ci-dessous ; si l'autre côté ne sait pas faire DTLS, mettez le SRTP de la ligne sur « de préférence » ou « exigé » (SDES).
end_encryption_failed_fingerprint = Appel terminé : celui qui a répondu au chiffrement du son (DTLS) n'est pas celui de l'appel : l'empreinte du certificat est différente.
    .remedy = Cherchez un équipement qui réécrit les appels entre les deux côtés, ou quelqu'un qui écoute ; transportez la signalisation par TLS.
end_no_common_codec = Appel refusé : aucun codec commun.
    .remedy = Activez G.711 (PCMA ou PCMU) chez l'opérateur.
end_no_common_codec_one = Appel refusé : aucun codec commun, l'opérateur propose { $offered } seul.
    .remedy = Activez G.711 (PCMA ou PCMU) chez l'opérateur.
end_no_common_codec_many = Appel refusé : aucun codec commun, l'opérateur propose { $offered }.
    .remedy = Activez G.711 (PCMA ou PCMU) chez l'opérateur.
end_unauthorized = Appel refusé : la source n'a pas prouvé son identité.
    .remedy = Ajoutez son adresse à la ligne (line.allow) ou donnez-lui un identifiant.
end_certificate_refused = Appel refusé : la ligne demande un certificat client TLS à elle, et l'autre côté n'en a montré aucun de valable.
    .remedy = Regardez ce qui en est dit ci-dessous ; client_certificates, client_names et client_ca du compte disent lesquels sont ceux de la ligne.
end_caller_unproven = Appel refusé : la ligne demande une preuve du numéro de l'appelant (STIR/SHAKEN), et l'appel n'en a pas de suffisante.
    .remedy = Regardez ce qui en est dit ci-dessous ; caller_identity du compte dit ce que la ligne demande.
end_unknown_number = Appel refusé : { $to ->
    [none] le numéro appelé
   *[other] le { $to }
 } n'est relié à aucun agent.
    .remedy = Reliez le numéro à un agent.
end_not_parked = Appel refusé : personne n'attend à la place composée.
    .remedy = Un appelant en attente se reprend en composant *85 suivi du numéro de la place ; sans numéro si un seul attend. Les places sont celles du compte du téléphone.
end_no_such_call = Appel refusé : aucun appel en cours ne correspond à ce qui a été composé.
    .remedy = Composez *86, *87 ou *88 suivi des derniers chiffres (quatre au plus) du numéro de l'appelant ; sans chiffres si un seul appel est en cours. Un téléphone n'entre que dans les appels de son compte.
end_transport_lost = La connexion qui portait la signalisation a été perdue.
end_ack_missing = Notre réponse n'a jamais été confirmée : l'appel a été libéré.
    .remedy = Un pare-feu ou un routeur perd sans doute les messages ; essayez TCP ou réglez l'adresse publique.
end_missing_answer = L'autre côté n'a pas répondu à notre offre audio.
end_leg_failed = La liaison téléphonique a échoué.
end_process_lost = Le processus est mort pendant l'appel{ $after ->
    [none] {""}
   *[other] {" "}(dernier signe de vie après { $after })
 } ; sa fiche a été complétée au redémarrage.
    .remedy = Regardez le journal du système à cette heure : mémoire épuisée, arrêt forcé ou panne.
end_internal = Une faute de ce logiciel a mis fin à l'appel.
    .remedy = Signalez-la avec l'explication JSON de l'appel.
end_running = L'appel est en cours.
end_unknown = L'appel s'est terminé pour une raison que cette version ne connaît pas.

## Configuration

config_ok = La configuration est bonne.
config_unknown_key = { $path } ligne { $line } : le réglage « { $key } » n'existe pas.{ $nearest ->
    [none] {""}
   *[other] {" "}Vouliez-vous « { $nearest } » ?
 }
    .remedy = Corrigez ou retirez la ligne.
config_unknown_variable = La variable { $variable } ne correspond à aucun réglage.{ $nearest ->
    [none] {""}
   *[other] {" "}Vouliez-vous { $nearest } ?
 }
    .remedy = Corrigez ou retirez la variable.
config_bad_value = { $key } ({ $origin }) : « { $value } » ne convient pas. Attendu : { $expected }.
    .remedy = Corrigez la valeur.
config_missing_key = Il manque le réglage { $key }{ $variable ->
    [none] {""}
   *[other] {" "}(variable { $variable })
 }.
    .remedy = Donnez-lui une valeur.
config_missing_pair = { $key } et { $other } vont ensemble : l'un des deux manque.
    .remedy = Donnez les deux, ou aucun.
config_missing_engine_key = Il n'y a pas de clé pour le moteur vocal : { $variable } est vide.
    .remedy = Donnez une clé, ou essayez sans clé avec « allo demo ».
config_file_unreadable = Le fichier { $path } ne peut pas être lu : { $cause }.
    .remedy = Vérifiez le chemin et les droits.
config_file_syntax = { $path } ligne { $line } : la syntaxe est fausse ({ $cause }).
    .remedy = Corrigez la ligne ; les textes vont entre guillemets.
config_public_without_tls = { $key } ({ $origin }) : { $address } est visible du réseau sans TLS ni jeton. Le service ne démarre pas ainsi.
    .remedy = Donnez un certificat et un jeton, ou écoutez sur 127.0.0.1.
config_open_without_loopback = { $key } ({ $origin }) : { $address } est visible du réseau et { $switch } donne sans preuve d'identité ce qui n'est pas pour tous. Le service ne démarre pas ainsi.
    .remedy = Écoutez sur 127.0.0.1, ou désactivez { $switch }.
config_no_listener = Aucune adresse SIP n'est réglée : personne ne pourrait appeler.
    .remedy = Réglez sip.udp, sip.tcp ou sip.tls.
config_no_line = Aucune ligne n'est réglée : tous les appels seront refusés.
    .remedy = Donnez SIP_USERNAME et SIP_PASSWORD, ou line.allow.
config_no_effect = La variable { $variable } n'a pas d'effet : { $why }.
port_in_use = Impossible d'écouter en { $protocol } sur { $address } : { $cause }.
    .remedy = Arrêtez l'autre programme qui tient ce port, ou choisissez-en un autre.
start_failed = Le service n'a pas pu démarrer : { $cause }.
espeak_missing = Le synthétiseur espeak-ng n'est pas installé : le moteur de remplacement ne peut pas parler.
    .remedy = Installez-le : apt install espeak-ng
scenario_unusable = Le scénario { $path } est inutilisable : { $cause }.

## Registration

registration_registered = { $line ->
    [none] La ligne
   *[other] La ligne « { $line } »
 } est enregistrée{ $registrar ->
    [none] {""}
   *[other] {" "}auprès de { $registrar }
 }.
registration_registering = { $line ->
    [none] La ligne
   *[other] La ligne « { $line } »
 } s'enregistre.
registration_unregistered = { $line ->
    [none] La ligne
   *[other] La ligne « { $line } »
 } n'est pas enregistrée.
registration_wrong_credentials = { $registrar ->
    [none] L'opérateur
   *[other] { $registrar }
 } refuse { $line ->
    [none] la ligne
   *[other] la ligne « { $line } »
 } : identifiant ou mot de passe incorrect. Les essais sont arrêtés pour ne pas bloquer votre compte.
    .remedy = Corrigez l'identifiant ou le mot de passe.
registration_refused = { $registrar ->
    [none] L'opérateur
   *[other] { $registrar }
 } refuse { $line ->
    [none] la ligne
   *[other] la ligne « { $line } »
 }{ $status ->
    [none] {""}
   *[other] {" "}(réponse { $status })
 }.
    .remedy = Demandez à l'opérateur si le compte est actif.
registration_timeout = Aucune réponse de { $registrar ->
    [none] l'opérateur
   *[other] { $registrar }
 }{ $protocol ->
    [none] {""}
   *[other] {" "}en { $protocol }
 }{ $after ->
    [none] {""}
   *[other] {" "}après { $after }
 } pour { $line ->
    [none] la ligne
   *[other] la ligne « { $line } »
 }. Un pare-feu bloque sans doute.
    .remedy = Essayez TCP, ou ouvrez le port SIP.
registration_unreachable = { $registrar ->
    [none] L'opérateur
   *[other] { $registrar }
 } est injoignable pour { $line ->
    [none] la ligne
   *[other] la ligne « { $line } »
 } : la connexion est refusée ou le chiffrement échoue.
    .remedy = Vérifiez l'adresse, le port et le protocole.
registration_dns = { $host ->
    [none] Le nom de l'opérateur
   *[other] { $host }
 } n'existe pas dans le DNS : { $line ->
    [none] la ligne
   *[other] la ligne « { $line } »
 } ne peut pas s'enregistrer.
    .remedy = Vérifiez l'orthographe du nom.

## Test of a line

line_test_address_unusable = « { $address } » n'est pas une adresse SIP utilisable.
    .remedy = Écrivez-la comme sip:utilisateur@domaine, avec un serveur d'enregistrement et un proxy de la même forme.
line_test_dns_ok = { $host } est trouvé : { $found }.
line_test_dns_unknown = Le nom { $host } n'existe pas dans le DNS.
    .remedy = Vérifiez l'orthographe du domaine ou du serveur d'enregistrement.
line_test_dns_empty = Le nom { $host } existe mais ne mène à aucune adresse.
    .remedy = Demandez à l'opérateur le nom de son serveur SIP, ou indiquez le port.
line_test_dns_silent = Aucun serveur de noms ne répond pour { $host }.
    .remedy = Vérifiez le réseau et le DNS de cette machine.
line_test_inward = { $host } mène à une adresse privée : elle n'est pas testée pour ce compte.
    .remedy = Demandez à l'exploitant du service de faire ce test.
line_test_port_ok = { $address } répond en { $protocol }.
line_test_port_closed = { $address } refuse { $protocol } : personne n'écoute à ce port.
    .remedy = Vérifiez le port et le transport (UDP, TCP ou TLS).
line_test_port_silent = { $address } ne répond pas en { $protocol }.
    .remedy = Un pare-feu bloque sans doute : ouvrez le port SIP, ou essayez un autre transport.
line_test_port_failed = { $address } est injoignable en { $protocol } : { $cause }.
    .remedy = Vérifiez le réseau de cette machine.
line_test_tls_ok = Le certificat de { $name } est valable encore { $days } { $days ->
    [one] jour
   *[other] jours
 }.
line_test_tls_soon = Le certificat de { $name } expire dans { $days } { $days ->
    [one] jour
   *[other] jours
 }.
    .remedy = Prévenez l'opérateur : sans renouvellement la ligne tombera ce jour-là.
line_test_tls_expired = Le certificat de { $name } a expiré.
    .remedy = Demandez à l'opérateur de le renouveler, ou utilisez TCP en attendant.
line_test_tls_name = Le certificat présenté n'est pas pour { $name }{ $names ->
    [none] {""}
   *[other] {" "}mais pour { $names }
 }.
    .remedy = Donnez comme domaine ou proxy un nom qui est dans le certificat.
line_test_tls_untrusted = Le certificat de { $name } vient d'une autorité inconnue de cette machine.
    .remedy = Donnez le certificat de cette autorité dans sip.tls_ca.
line_test_tls_failed = La connexion TLS{ $name ->
    [none] {""}
   *[other] {" "}à { $name }
 } a échoué : { $cause }.
    .remedy = Vérifiez que ce port parle TLS.
line_test_options_ok = Le serveur parle SIP (réponse { $status }{ $server ->
    [none] {""}
   *[other] {", "}{ $server }
 }).
line_test_options_silent = Pas de réponse à OPTIONS ; certains opérateurs n'y répondent jamais.
line_test_register_ok = { $registrar } accepte le compte et l'enregistre ({ $expires } s), puis l'enregistrement d'essai est retiré.
line_test_register_proved = { $registrar } accepte le mot de passe ; { $count ->
    [0] aucun enregistrement n'a été fait
    [one] un enregistrement en cours n'a pas été touché
   *[other] { $count } enregistrements en cours n'ont pas été touchés
 }.
line_test_register_open = { $registrar } accepte le compte sans demander de mot de passe{ $expires ->
    [none] {""}
   *[other] {" "}({ $expires } s)
 }.
    .remedy = Vérifiez que l'opérateur identifie la ligne autrement, par l'adresse de cette machine.
line_test_register_off = Cette ligne ne s'enregistre pas.
line_test_register_wrong = { $registrar } refuse « { $username } » : identifiant ou mot de passe incorrect.
    .remedy = Corrigez l'identifiant ou le mot de passe ; d'autres essais peuvent bloquer le compte.
line_test_register_forbidden = { $registrar } interdit « { $username } » (réponse 403) après le mot de passe.
    .remedy = Vérifiez le mot de passe, puis demandez à l'opérateur si le compte est actif et si votre adresse est admise.
line_test_register_unknown = { $registrar } ne connaît pas « { $username } » (réponse 404).
    .remedy = Vérifiez l'identifiant et le domaine.
line_test_register_brief = { $registrar } refuse la durée d'enregistrement{ $minimum ->
    [none] {""}
   *[other] {" "}et demande au moins { $minimum } s
 }.
    .remedy = Augmentez la durée d'enregistrement de la ligne.
line_test_register_unsupported = { $registrar } demande une preuve d'identité que ce programme ne sait pas donner.
    .remedy = Demandez à l'opérateur l'authentification digest MD5 ou SHA-256 pour ce compte.
line_test_register_refused = { $registrar } refuse l'enregistrement (réponse { $status }{ $reason ->
    [none] {""}
   *[other] {" "}{ $reason }
 }).
    .remedy = Demandez à l'opérateur si le compte est actif.
line_test_register_silent = { $registrar } ne répond pas à la demande d'enregistrement.
    .remedy = Un pare-feu bloque sans doute : essayez TCP, ou demandez à l'opérateur si votre adresse est admise.
line_test_call_answered = { $number } a décroché après { $after } et du son arrive ({ $packets } paquets en 2 s).
line_test_call_silent = { $number } a décroché mais aucun son n'arrive.
    .remedy = Ouvrez les ports du son (rtp.ports) et vérifiez l'adresse annoncée (rtp.public_address).
line_test_call_rang = { $number } a sonné ; personne n'a décroché en 25 s.
line_test_call_refused = L'appel vers { $number } est refusé (réponse { $status }{ $reason ->
    [none] {""}
   *[other] {" "}{ $reason }
 }).
    .remedy = Vérifiez le numéro, la forme que l'opérateur attend (+33… ou 0…) et que le compte peut appeler.
line_test_call_nothing = L'appel vers { $number } n'a reçu aucune réponse.
    .remedy = Vérifiez que le compte peut appeler par ce serveur.
line_test_call_unusable = « { $number } » ne peut pas être appelé.
    .remedy = Donnez un numéro comme +33123456789 ou une adresse sip:.
line_test_skipped = Non essayé : une étape précédente a échoué.

## What the doctor finds

doctor_server_running = allo { $version } tourne ({ $calls } { $calls ->
    [one] appel
   *[other] appels
 } en cours) : ses ports et ses enregistrements sont laissés tels quels.
doctor_server_stopped = allo ne tourne pas : les réglages seuls sont examinés.
doctor_data_ok = { $path } peut être écrit ; { $free } Mo sont libres.
doctor_data_unwritable = { $path } ne peut pas être écrit : { $cause }.
    .remedy = Donnez à ce compte le droit d'écrire dans server.data_dir, ou choisissez un autre dossier.
doctor_data_open = { $path } est un secret que d'autres comptes peuvent lire (droits { $mode }).
    .remedy = chmod 600 sur ce fichier.
doctor_disk_low = Il ne reste que { $free } Mo libres pour { $path }.
    .remedy = Libérez de la place, ou gardez les enregistrements moins longtemps.
doctor_disk_full = Il ne reste que { $free } Mo libres pour { $path } : les appels ne pourront plus être notés.
    .remedy = Libérez de la place maintenant.
doctor_key_ok = La clé de chiffrement est lisible.
doctor_key_new = Il n'y a pas encore de clé de chiffrement : elle sera créée au premier démarrage.
doctor_database_ok = La base de données { $path } répond.
doctor_database_new = La base de données { $path } n'existe pas encore : elle sera créée au premier démarrage.
doctor_database_failing = La base de données { $path } ne répond plus au service.
    .remedy = Regardez le journal du service et le serveur de base de données.
doctor_port_free = { $name } : { $address } est libre.
doctor_port_ours = { $name } : allo écoute sur { $address }.
doctor_port_taken = { $name } : { $address } ne peut pas être pris ({ $cause }).
    .remedy = Arrêtez l'autre programme qui tient ce port, ou choisissez-en un autre.
doctor_rtp_ok = Ports du son { $range } : { $free } paires libres.
doctor_rtp_few = Ports du son { $range } : { $free } paires libres pour { $calls } appels.
    .remedy = Élargissez rtp.ports, ou arrêtez le programme qui tient ces ports.
doctor_rtp_none = Ports du son { $range } : aucune paire n'est libre.
    .remedy = Corrigez rtp.ports et rtp.bind, ou arrêtez le programme qui tient ces ports.
doctor_tls_ok = Le certificat de { $name } est valable encore { $days } { $days ->
    [one] jour
   *[other] jours
 }.
doctor_tls_soon = Le certificat de { $name } expire dans { $days } { $days ->
    [one] jour
   *[other] jours
 }.
    .remedy = Renouvelez-le.
doctor_tls_expired = Le certificat de { $name } a expiré.
    .remedy = Renouvelez-le et redémarrez le service.
doctor_tls_early = Le certificat de { $name } n'est pas encore valable.
    .remedy = Vérifiez l'horloge de cette machine et le certificat.
doctor_tls_name = Le certificat de { $name } n'est pas pour { $host }{ $names ->
    [none] {""}
   *[other] {" "}mais pour { $names }
 }.
    .remedy = Faites établir un certificat pour ce nom.
doctor_tls_unreadable = Le certificat de { $name } ne peut pas être lu.
    .remedy = Donnez un fichier PEM avec le certificat en premier.
doctor_tls_self = { $name } utilise un certificat fait par allo lui-même ; un opérateur qui vérifie ne l'acceptera pas.
doctor_clock_ok = L'horloge est juste d'après { $source } (à { $seconds } s près).
doctor_clock_off = L'horloge s'écarte de { $seconds } s d'après { $source }.
    .remedy = Activez la synchronisation de l'heure (NTP).
doctor_clock_wrong = L'horloge est fausse de { $seconds } s d'après { $source } : TLS et les signatures échoueront.
    .remedy = Réglez l'heure et activez la synchronisation (NTP).
doctor_clock_unknown = Aucun serveur n'a donné l'heure : l'horloge n'est pas comparée.
doctor_clock_jumps = L'horloge a sauté de { $ms } ms pendant l'examen.
    .remedy = Laissez NTP ralentir l'horloge au lieu de la faire sauter.
doctor_nat_none = Pas de NAT : l'opérateur nous voit à notre adresse { $seen }.
doctor_nat_handled = L'adresse annoncée { $announced } est celle que l'opérateur voit.
doctor_nat_found = Cette machine ({ $local }) est derrière un NAT : l'opérateur la voit à { $seen }. Le serveur STUN dit aux appels l'adresse de leur audio.
doctor_stun = Le serveur STUN { $server } voit cette machine à { $seen }.
doctor_stun_silent = Le serveur STUN { $server } ne répond pas.
    .remedy = Vérifiez nat.stun_server (STUN_SERVER) et que des paquets UDP peuvent partir vers lui ; ou réglez rtp.public_address (PUBLIC_IP).
doctor_nat_behind = Cette machine ({ $local }) est derrière un NAT : l'opérateur la voit à { $seen }.
    .remedy = Réglez rtp.public_address (PUBLIC_IP) sur cette adresse et ouvrez les ports du son vers cette machine ; ou réglez un serveur STUN (nat.stun_server), ou un relais (docs/nat.md).
doctor_nat_wrong = L'adresse annoncée { $announced } n'est pas celle que l'opérateur voit ({ $seen }).
    .remedy = Corrigez rtp.public_address (PUBLIC_IP).
doctor_back_office_ok = Le service métier { $url } répond ({ $status }).
doctor_back_office_ill = Le service métier { $url } répond par une erreur ({ $status }).
    .remedy = Regardez le journal de ce service.
doctor_back_office_down = Le service métier { $url } est injoignable : { $cause }.
    .remedy = Vérifiez tools.back_office (NEXT_API_URL) et que ce service tourne.
doctor_well = Tout va bien.
doctor_first = À faire d'abord : { $remedy }

## Commands that test a line and place a call

incoming_option_missing = L'option { $option } est obligatoire.
    .remedy = Exemple : allo test-incoming --sip-uri sip:utilisateur@domaine.com --username utilisateur --password motdepasse
incoming_option_wrong = L'option { $option } ne peut pas être « { $value } ».
    .remedy = Attendu : { $expected }
incoming_option_bridge = L'option { $option } n'a de sens qu'avec --bridge.
    .remedy = Ajoutez --bridge, ou retirez cette option.
incoming_option_apart = L'option { $option } n'a pas de sens avec --bridge : le modèle vocal parle.
    .remedy = Retirez --bridge, ou cette option.
incoming_no_key = OPENAI_API_KEY doit être défini.
    .remedy = export OPENAI_API_KEY="sk-…", ou --api-key "sk-…".
place_no_line = Aucune ligne ne s'appelle « { $name } ».
    .remedy = Donnez --line avec le nom d'une ligne réglée.
place_no_agent = Aucun agent « { $name } » ne peut appeler.
    .remedy = Donnez --agent avec un agent qui a une ligne, ou --line.
place_which_line = Il y a plusieurs lignes : { $lines }.
    .remedy = Choisissez-en une avec --line.
place_not_registered = La ligne { $line } n'a pas pu s'enregistrer : l'appel n'est pas passé.
    .remedy = Lancez allo doctor pour savoir pourquoi.
place_lost = L'appel n'a pas répondu à la demande de raccrocher.
place_given_up = L'appel est abandonné.
incoming_starting = Initialisation : compte { $account } en { $transport }.
incoming_registered = Enregistrement SIP réussi : { $line }
incoming_waiting = En attente d'appels entrants (Ctrl+C pour arrêter).
incoming_time_over = La durée du test est écoulée.
incoming_interrupted = Arrêt demandé.
incoming_call = Appel entrant de { $from } pour { $to }
incoming_answered = Appel accepté
incoming_sound = Audio connecté
incoming_first_audio = Premier son de l'agent { $after } après la réponse
incoming_call_ended = Appel terminé ({ $seconds } s)
incoming_cleaning = Nettoyage : fin des appels et désenregistrement.
incoming_unregistered = Compte désenregistré, ressources libérées.
incoming_figures = Appels reçus : { $received }, répondus : { $answered }, en échec : { $failed } ; conversation : { $seconds } s ; transcriptions : { $transcripts }
incoming_packets = Paquets audio reçus : { $received }, envoyés : { $sent }, perdus : { $lost }
incoming_audio_card = Audio : microphone et haut-parleur de cette machine.
incoming_audio_echo = Audio : l'appelant s'entend lui-même (écho).
incoming_audio_no_card = Audio : pas de carte son ici ; l'appelant s'entend lui-même (écho).
incoming_audio_tone = Audio : l'appelant entend un son de { $hertz } Hz.
incoming_audio_silence = Audio : l'appelant n'entend rien.
incoming_audio_file = Audio : l'appelant entend { $path }.
place_calling = Appel de { $number }
place_placed = L'appel est parti
place_ringing = Ça sonne
place_answered = Décroché
place_time_over = La durée est écoulée : l'agent raccroche.
place_hanging_up = Arrêt demandé : l'agent raccroche.
place_callee_said = Appelé : { $text }

## Engine

engine_refused = Le moteur vocal refuse la clé{ $key ->
    [none] {""}
   *[other] {" "}finissant par { $key }
 }{ $status ->
    [none] {""}
   *[other] {" "}(réponse { $status })
 }. Elle est révoquée ou d'un autre projet.
    .remedy = Remplacez la clé.
engine_rate_limited = Le moteur vocal refuse les appels : crédit épuisé ou trop de demandes (429){ $since ->
    [none] {""}
   *[other] {" "}depuis { $since }
 }.
    .remedy = Rechargez le compte ou demandez une limite plus haute.
engine_unavailable = Le moteur vocal est en panne de son côté{ $status ->
    [none] {""}
   *[other] {" "}(réponse { $status })
 }{ $detail ->
    [none] {""}
   *[other] {" "}– { $detail }
 }.
    .remedy = Regardez l'état du service chez son fournisseur.
engine_unreachable = Le moteur vocal est injoignable{ $host ->
    [none] {""}
   *[other] {" "}à { $host }
 } : nom, réseau ou chiffrement{ $detail ->
    [none] {""}
   *[other] {" "}({ $detail })
 }.
    .remedy = Vérifiez l'adresse du moteur et le réseau de ce serveur.
engine_timeout = Le moteur vocal n'a pas répondu à temps{ $after ->
    [none] {""}
   *[other] {" "}({ $after })
 }.
engine_closed = Le moteur vocal a fermé la connexion{ $close_code ->
    [none] {""}
   *[other] {" "}(code { $close_code })
 }{ $detail ->
    [none] {""}
   *[other] {" "}– { $detail }
 }.
engine_rejected = Le moteur vocal rejette les réglages de l'agent{ $param ->
    [none] {""}
   *[other] {" "}({ $param })
 }{ $detail ->
    [none] {""}
   *[other] {" "}– { $detail }
 }.
    .remedy = Corrigez le réglage indiqué (modèle, voix, outils).
engine_expired = La session du moteur vocal a atteint sa durée maximale.
engine_fault = Le moteur vocal signale une faute{ $detail ->
    [none] {""}
   *[other] {" "}– { $detail }
 }.
engine_test_ok = Le moteur vocal répond : { $engine } accepte la clé, le modèle et les réglages de l'agent ({ $after }).
engine_test_model = Le moteur vocal ne connaît pas le modèle { $model }{ $detail ->
    [none] {""}
   *[other] {" "}({ $detail })
 }.
    .remedy = Corrigez engine.model (OPENAI_REALTIME_MODEL), ou demandez l'accès à ce modèle.
engine_serves = Le moteur vocal { $engine } parle pour cet agent.
engine_fallback_serves = Le premier moteur vocal manque : { $engine } parle à sa place.

## Service

store_unusable = La base de données { $path } est inutilisable : { $cause }.
store_unsupported = Les bases de données « { $scheme } » ne sont pas prises en charge par cette version.
    .remedy = Donnez le chemin d'un fichier SQLite, ou postgres://… pour PostgreSQL.
store_directory = Le dossier { $path } ne peut pas être utilisé : { $cause }.
    .remedy = Vérifiez le chemin et les droits.
store_unreadable = La base de données { $path } ne peut pas être ouverte : { $cause }.
    .remedy = Vérifiez le chemin et les droits.
store_corrupt = { $path } n'est pas une base de données saine : le fichier est endommagé ou d'une autre sorte.
    .remedy = Restaurez une sauvegarde, ou déplacez le fichier pour repartir à vide.
store_locked = La base de données { $path } est bloquée par un autre processus.
    .remedy = Arrêtez l'autre processus.
store_disk_full = Il n'y a plus de place sur le disque de { $path }.
    .remedy = Libérez de la place ; rien de ce qui était écrit n'est perdu.
store_too_new = La base de données { $path } a été écrite par une version plus récente (schéma { $found }).
    .remedy = Utilisez la version la plus récente du logiciel.
store_migration = Le schéma de { $path } n'a pas pu être mis à jour : { $cause }.
    .remedy = Restaurez une sauvegarde et signalez cette faute.
store_missing = Il n'y a pas de base de données { $path }.
    .remedy = Lancez « allo serve » une fois, ou donnez la bonne configuration.
store_write_disk_full = Il n'y a plus de place sur le disque de la base de données ; ce qui était écrit reste.
    .remedy = Libérez de la place.
store_write_locked = La base de données est restée bloquée trop longtemps.
store_write_corrupt = La base de données est endommagée.
    .remedy = Restaurez une sauvegarde.
store_write_failed = La base de données a refusé l'écriture : { $cause }.
store_read_failed = La base de données n'a pas pu être lue : { $cause }.
store_unknown_call = Cet appel n'existe pas dans la base de données.
store_duplicate_call = Un appel de cet identifiant existe déjà.
store_unknown_tenant = Ce client n'existe pas.
store_batch_too_large = Trop d'entrées en une seule écriture.
journal_too_long = Un événement ({ $type }) était trop long pour le journal.
call_not_found = L'appel { $id } n'existe pas.
    .remedy = « allo calls » donne la liste des appels.
api_bad_request = La demande ne peut pas être comprise : { $cause }.
api_unauthorized = Le jeton d'administration manque ou est faux.
    .remedy = Envoyez « Authorization: Bearer … » avec le jeton du service.
api_not_found = Cette adresse n'existe pas.
api_method_not_allowed = Cette adresse ne connaît pas cette méthode.
api_store_failed = La base de données ne répond pas.
api_no_recording = L'appel { $id } n'a pas d'enregistrement.
api_call_ended = L'appel{ $id ->
    [none] {""}
   *[other] {" "}{ $id }
 } est déjà terminé.
api_call_elsewhere = L'appel{ $id ->
    [none] {""}
   *[other] {" "}{ $id }
 } n'est pas tenu par ce processus.
api_internal = Une faute de ce logiciel a empêché la réponse.
recording_incomplete = L'enregistrement est incomplet : { $state ->
    [disk_full] plus de place sur le disque
    [gaps] il a des trous
    [failed] il n'a pas pu être écrit
   *[other] { $state }
 }. L'appel a continué.
    .remedy = Vérifiez la place et la vitesse du disque.
no_rtp_port = Aucun port audio n'est libre ({ $cause }).
    .remedy = Élargissez la plage rtp.ports.
media_address_seen = Le serveur STUN { $server } voit notre son à { $address } : c'est l'adresse annoncée.
media_address_relayed = Le serveur TURN { $server } relaie notre son à { $address } : c'est l'adresse annoncée.
media_path_direct = Les essais d'ICE ont trouvé le chemin du son : directement à { $address }.
media_path_relayed = Les essais d'ICE ont trouvé le chemin du son : par le relais { $relay } à { $address }.
media_path_none = Aucun des chemins essayés (ICE) ne mène à l'autre côté : le son va à l'adresse que son appel annonce.
    .remedy = Nommez un serveur TURN pour la ligne (turn_server) : un relais passe derrière tous les routeurs.
srtp_failures = Paquets audio chiffrés illisibles : { $count }.
dtls_agreed = Le son est chiffré : clés par DTLS après { $ms }, { $suite }.
dtls_wrong_fingerprint = Le certificat DTLS de l'autre côté n'est pas celui que son appel annonçait : pas de clés.
dtls_without_srtp = Le DTLS de l'autre côté n'a convenu d'aucun SRTP que nous connaissons : pas de clés.
    .remedy = Activez SRTP_AES128_CM_HMAC_SHA1_80 de l'autre côté.
dtls_refused = L'autre côté a abandonné l'échange DTLS, ou ne sait pas faire ce que nous savons faire (DTLS 1.2) : pas de clés.
dtls_silence = L'échange DTLS n'a pas abouti en dix secondes : pas de clés.
    .remedy = Vérifiez que l'UDP atteint les deux côtés aux adresses du SDP.
leg_replaced = Un appel avec Replaces a demandé à reprendre cette jambe (de : { $from }).
not_parked = Les touches de la personne n'ont pas mis l'appelant en attente : { $cause }.
offer_failed = L'autre côté a refusé notre changement audio (réponse { $status }).
sip_command_refused = Une commande SIP est arrivée trop tard ({ $command }).
sip_refused = L'autre côté a refusé notre appel : { $status }{ $reason ->
    [none] {""}
   *[other] {" "}{ $reason }
 }.
delayed_offer = L'appel est arrivé sans description audio : la nôtre part avec la réponse.
dtmf_not_sent = Les touches n'ont pas pu être envoyées : { $cause }.
call_refused_because = appel refusé : { $cause ->
    [source_not_allowed] cette adresse n'est pas autorisée
    [other_identity] l'appelant se nomme autrement que l'utilisateur dont il a le mot de passe
    [unknown_number] le numéro appelé n'est relié à aucun agent
    [certificate] son certificat n'ouvre pas la ligne
    [certificate_of_stranger] son certificat n'ouvre pas la ligne dont il porte le nom
    [draining] le service s'arrête
    [too_many_invites] trop d'appels à la seconde
    [too_many_calls] trop d'appels en même temps
    [nobody_parked] personne n'attend à cette place du compte
    [several_parked] plusieurs appelants attendent : il manque le numéro de la place après *85
    [no_such_call] aucun appel en cours de ce compte n'a un appelant dont le numéro finit ainsi
    [several_calls] plusieurs appels en cours correspondent : il manque des chiffres du numéro de l'appelant
    [may_not_join] ce téléphone n'a pas le droit d'entrer dans les appels en cours
    [line_busy] la ligne a tous ses appels
   *[other] { $cause }
 }{ $source ->
    [none] {""}
   *[other] {" "}({ $source })
 }
certificate_recognised = la ligne a été reconnue au certificat TLS de l'autre côté : { $by ->
    [fingerprint] celui-là même ({ $fingerprint })
   *[other] son nom { $name ->
        [none] {""}
       *[other] { $name }
     }, garanti par une autorité de la ligne ({ $fingerprint })
 }
certificate_refused = le certificat TLS de l'autre côté n'ouvre aucune ligne : { $cause ->
    [missing] il n'en a montré aucun, et la ligne en demande un
    [other] ce n'est aucun de ceux que des lignes listent
    [unproven] il n'a pas prouvé en avoir la clé, ou la clé n'est pas d'un genre connu (RSA à partir de 2048 bits, P-256, P-384, Ed25519)
    [untrusted] il porte le nom de la ligne, mais aucune autorité de la ligne ne s'en porte garante
    [early] il n'est pas encore valable
    [expired] il a expiré
    [ambiguous] des lignes de plusieurs comptes de la plateforme le listent
   *[other] { $cause }
 }{ $names ->
    [none] {""}
   *[other] {" "}– { $names }
 }{ $fingerprint ->
    [none] {""}
   *[other] {" "}– SHA-256 { $fingerprint }
 }{ $source ->
    [none] {""}
   *[other] {" "}({ $source })
 }
    .remedy = Inscrivez son empreinte dans client_certificates du compte, ou son nom dans client_names avec l'autorité dans client_ca ; demandez à l'autre côté un certificat valable.
caller_vouched = le numéro de l'appelant est garanti{ $attestation ->
    [none] {""}
    [A] {" "}: attestation A (son opérateur connaît l'appelant et son droit au numéro)
    [B] {" "}: attestation B (son opérateur connaît l'appelant, pas son droit au numéro)
    [C] {" "}: attestation C (l'appel est venu d'ailleurs à son opérateur)
   *[other] {" "}({ $attestation })
 }
    .remedy = Si l'appel a été refusé pour cela : la ligne en demande davantage (caller_identity du compte).
caller_unsigned = personne ne garantit le numéro de l'appelant : l'appel n'a pas d'en-tête Identity (STIR/SHAKEN)
    .remedy = Demandez à l'opérateur s'il signe et transmet Identity ; une ligne qui refuse ces appels a caller_identity réglé sur require.
caller_not_vouched = la preuve du numéro de l'appelant (STIR/SHAKEN) n'est pas valable : { $cause ->
    [malformed] l'en-tête Identity est illisible ou ne dit pas ce qu'il doit
    [algorithm] elle n'est pas signée par ES256
    [stale] elle est signée depuis plus d'une minute, ou en avance
    [caller] elle est d'un autre appelant
    [called] elle est pour un autre numéro que celui qui est appelé
    [unfetched] son certificat n'a pas pu être obtenu
    [certificate] ce que donne son adresse n'est pas un certificat qui puisse l'avoir signée
    [expired] son certificat a expiré ou n'est pas encore valable
    [untrusted] aucune autorité de stir.authorities ne garantit son certificat
    [signature] sa signature n'est pas celle de son certificat
   *[other] { $cause }
 }
    .remedy = { $cause ->
    [stale] Regardez les horloges des deux côtés.
    [unfetched] Regardez si cette machine atteint cette adresse, et tools.allow_private si elle est privée.
    [untrusted] Le réglage stir.authorities nomme un fichier PEM des autorités admises.
   *[other] Demandez à l'opérateur qui a signé l'appel.
 }
call_limited = appel refusé, une limite est atteinte : { $limit ->
    [line_rate] la ligne a reçu ses nouveaux appels de cette seconde
    [tenant_rate] le compte a reçu ses nouveaux appels de cette seconde
    [process_rate] le serveur a reçu ses nouveaux appels de cette seconde
    [line_calls] la ligne a tous ses appels
    [tenant_calls] le compte a tous ses appels
    [agent_calls] l'agent a tous ses appels
    [process_calls] le serveur a tous ses appels
    [process_late] le serveur n'a pas le temps d'un appel de plus : son retard dépasse (ms)
    [process_cpu] le serveur n'a pas le temps d'un appel de plus : son processeur est occupé à (pour cent)
   *[other] { $limit }
 }, { $max }{ $name ->
    [none] {""}
   *[other] {" "}({ $name })
 }{ $source ->
    [none] {""}
   *[other] {" "}({ $source })
 }
    .remedy = { $limit ->
    [line_rate] « Nouveaux appels par seconde » (calls_per_s_max) dans le formulaire de cette ligne ou de cet appareil, ou calls_per_s_max des réglages de la ligne téléphonique.
    [tenant_rate] « Nouveaux appels par seconde » dans le formulaire du compte (settings.inbound.callsPerS).
    [process_rate] Demandez moins d'appels par seconde aux autres côtés, ou ajoutez un serveur.
    [line_calls] « Appels simultanés » (calls_max) dans le formulaire de cette ligne ou de cet appareil, ou maxParallelCalls de la ligne téléphonique.
    [tenant_calls] « Appels simultanés » dans le formulaire du compte (callsMax).
    [agent_calls] « Appels simultanés » dans les réglages de l'agent (limits.maxParallelCalls).
    [process_calls] Le réglage limits.calls.
    [process_late] Cherchez ce qui occupe cette machine, donnez plus de cœurs au serveur ou ajoutez un serveur. Le réglage limits.late_ms.
    [process_cpu] Donnez plus de cœurs au serveur ou ajoutez un serveur. Le réglage limits.cpu_percent.
   *[other] Augmentez cette limite.
 }

## Secrets

secrets_bad_setting = La clé de chiffrement des réglages (ENCRYPTION_KEY) n'est pas faite de 64 chiffres hexadécimaux.
    .remedy = « allo secrets generate » en fabrique une.
secrets_bad_file = Le fichier de clé { $path } ne contient pas 64 chiffres hexadécimaux.
    .remedy = Restaurez-le d'une sauvegarde : sans la bonne clé, ce qui est chiffré reste illisible.
secrets_open_file = Le fichier de clé { $path } peut être lu par d'autres que son propriétaire (droits { $mode }).
    .remedy = chmod 600 { $path }
secrets_file = Le fichier de clé { $path } est inutilisable : { $cause }.
    .remedy = Vérifiez le chemin et les droits.
secrets_missing_key = La base de données contient des valeurs chiffrées et il n'y a pas de clé : ni ENCRYPTION_KEY, ni { $path }.
    .remedy = Donnez ENCRYPTION_KEY, ou restaurez le fichier de clé d'une sauvegarde.
secrets_wrong_key = La clé de chiffrement ({ $origin }) n'est pas celle de cette base de données.
    .remedy = Donnez la clé avec laquelle elle a été écrite ; « allo secrets rotate » la change ensuite. Rien n'a été modifié.
secrets_unreadable = Une valeur chiffrée ne s'ouvre pas avec la clé : { $table }, { $id }.
    .remedy = Enregistrez de nouveau cette valeur, ou restaurez-la d'une sauvegarde.
secrets_in_use = { $count ->
    [one] Un processus utilise
   *[other] { $count } processus utilisent
 } cette base de données.
    .remedy = Arrêtez le serveur, puis recommencez.
secrets_failed = La valeur n'a pas pu être chiffrée : { $cause }.
secrets_not_opened = La valeur n'est pas chiffrée sous cette clé pour { $id }.
    .remedy = Vérifiez l'identifiant de la ligne et la clé.
secrets_input = L'entrée n'a pas pu être lue : { $cause }.
secrets_made = Un fichier de clé de chiffrement a été créé : { $path }. Sauvegardez-le à part de la base de données.
secrets_migrated = { $count ->
    [one] Une valeur en clair a été chiffrée.
   *[other] { $count } valeurs en clair ont été chiffrées.
 }
secrets_rotated = La clé de chiffrement a été changée ; { $count ->
    [one] une valeur a été chiffrée
   *[other] { $count } valeurs ont été chiffrées
 } de nouveau.
secrets_left = Cette valeur ne s'ouvre avec aucune des deux clés et reste telle quelle : { $value }.
secrets_outdated = ENCRYPTION_KEY est encore la clé d'avant le changement.
    .remedy = Mettez-y le contenu de { $path }, puis supprimez ce fichier.

## Store

store_bad_address = L'adresse du serveur de base de données est illisible.
    .remedy = Écrivez-la sous la forme postgres://utilisateur:motdepasse@hôte:5432/base, caractères spéciaux encodés en pour-cent.
store_unavailable = La base de données est injoignable.
    .remedy = Vérifiez que le serveur de base de données tourne et accepte les connexions ; ce qui était écrit reste.
store_not_found = Cet élément n'existe pas ({ $what }).
store_version_conflict = L'élément a été modifié entre-temps ; sa version est maintenant { $current }.
    .remedy = Relisez-le, puis refaites la modification.
store_duplicate = Cet élément n'est pas disponible : { $what } est déjà pris.
store_unknown_reference = La demande nomme un élément qui n'existe pas.
store_in_use = L'élément est encore utilisé ({ $what }).
store_refused = L'élément ne peut pas être enregistré : { $cause }.

## Log

log_started = allo{ $version ->
    [none] {""}
   *[other] {" "}{ $version }
 } a démarré.
log_shedding = Les nouveaux appels sont refusés : { $cause ->
    [late] le retard du serveur dépasse { $max } ms
   *[other] le serveur occupe plus de { $max } % de son processeur
 }.
log_shedding_over = Les nouveaux appels sont repris après { $seconds } s ; refusés : { $refused }.
log_listening = À l'écoute en { $protocol } sur { $address }.
log_accounts_loaded = { $count ->
    [0] Aucun compte SIP actif
   *[other] Trouvé { $count } compte(s) SIP actif(s)
 }.
log_registration_succeeded = Enregistrement SIP réussi auprès de { $registrar }{ $line ->
    [none] {""}
   *[other] {" "}(ligne { $line })
 }.
log_registration = Enregistrement de la ligne { $line } : { $state }.
log_agent_selected = Agent sélectionné : { $agent }{ $line ->
    [none] {""}
   *[other] {" "}(ligne { $line })
 }.
log_voice_bridge_started = Démarrage du pont voix Realtime{ $call ->
    [none] {""}
   *[other] {" "}({ $call })
 }.
log_call_answered = Appel répondu{ $call ->
    [none] {""}
   *[other] {" "}({ $call })
 }{ $after ->
    [none] {""}
   *[other] {" "}après { $after }
 }.
log_call_ended = Appel terminé{ $call ->
    [none] {""}
   *[other] {" "}({ $call })
 }{ $duration ->
    [none] {""}
   *[other] {" "}après { $duration }
 }{ $reason ->
    [none] {""}
   *[other] {" "}· { $reason }
 }.
log_call_overloaded = Un appel ne suivait plus ses événements : il est terminé.
log_calls_recovered = { $count ->
    [one] { $count } appel d'un processus mort a été complété
   *[other] { $count } appels d'un processus mort ont été complétés
 }.
log_provisioned = [sip-provisioning] Le restaurant { $house } a son agent { $agent }, avec ses outils.
log_provisioning_failed = [sip-provisioning] Le restaurant { $house } n'est pas encore provisionné ({ $step } : { $cause }). Il est enregistré ; un nouvel essai suit.
demo_not_provisioned = Le restaurant n'a pas reçu son agent à temps : le journal dit pourquoi ([sip-provisioning]).
demo_order = Commande n° { $number } : { $total } € dont { $fee } € de livraison, { $address }, promise à { $time }
demo_order_line = { $quantity } × { $name } ({ $options }) : { $price } €
demo_reservation = Réservation : { $guests } personnes, { $name }, { $time }
demo_cost = Coût de l'appel : { $cost } { $currency } (moteur de démonstration, au tarif du modèle)
log_retention_swept = { $count ->
    [one] { $count } élément trop ancien a été retiré
   *[other] { $count } éléments trop anciens ont été retirés
 }.
log_drain_started = Arrêt demandé : les appels en cours ont { $seconds } s pour finir, aucun nouvel appel n'est pris.
log_drain_finished = Arrêt terminé.
log_record_late = Le journal de l'appel { $call } attend la base de données.
log_journal_recovered = La base de données répond de nouveau : les journaux en attente sont écrits.
log_recording_recovered = Le disque accepte de nouveau les écritures : les appels sont enregistrés.
log_greeting_not_kept = L'accueil que le modèle vient de dire n'a pas pu être gardé : { $error }.
    .remedy = Vérifiez la place et les droits du dossier « greetings » des données. En attendant, le modèle dit chaque accueil lui-même.
log_greeting_discarded = Un accueil gardé était abîmé : il est effacé, et sera refait au prochain appel.
log_recording_failed = Un enregistrement a échoué{ $error ->
    [none] {""}
   *[other] {" "}({ $error })
 }.
log_source_banned = { $source } a donné trop souvent un mauvais mot de passe, ou cherche des failles : aucune réponse pendant { $minutes } minutes.
log_device_registered = Le poste { $device } s'est enregistré depuis { $source }.
log_device_gone = Le poste { $device } n'est plus enregistré.
log_device_refused = Un enregistrement depuis { $source } sous le nom « { $device } » a été refusé : { $cause }.
log_device_left_out = Le poste { $device } ne peut pas s'enregistrer : son mot de passe ne se lit pas avec cette clé.
log_bindings_unwritten = Où un poste est enregistré n'a pas pu être gardé pour le processus suivant : { $cause }
log_accept_failed = Une connexion entrante n'a pas pu être acceptée{ $error ->
    [none] {""}
   *[other] {" "}({ $error })
 }.
log_connection_aborted = Une connexion a été interrompue.
log_tls_refused = La connexion chiffrée{ $destination ->
    [none] {""}
   *[other] {" "}vers { $destination }
 } a été refusée{ $error ->
    [none] {""}
   *[other] {" "}({ $error })
 }.
log_datagram_not_sent = Un paquet n'a pas pu partir{ $destination ->
    [none] {""}
   *[other] {" "}vers { $destination }
 }{ $error ->
    [none] {""}
   *[other] {" "}({ $error })
 }.
log_sip_command_refused = Une commande SIP est arrivée trop tard{ $command ->
    [none] {""}
   *[other] {" "}({ $command })
 }.
log_no_name_servers = Aucun serveur de noms n'est réglé : seules les adresses numériques seront jointes.
log_call_started = Appel SIP entrant{ $to ->
    [none] {""}
   *[other] {" "}pour { $to }
 }{ $from ->
    [none] {""}
   *[other] {" "}de { $from }
 }{ $line ->
    [none] {""}
   *[other] {" "}sur la ligne { $line }
 } ({ $call }).
log_call_placed = Appel passé{ $to ->
    [none] {""}
   *[other] {" "}vers { $to }
 }{ $from ->
    [none] {""}
   *[other] {" "}depuis { $from }
 }{ $line ->
    [none] {""}
   *[other] {" "}par la ligne { $line }
 } ({ $call }).
log_call_refused = Appel refusé{ $call ->
    [none] {""}
   *[other] {" "}({ $call })
 }{ $from ->
    [none] {""}
   *[other] {" "}de { $from }
 }{ $source ->
    [none] {""}
   *[other] {" "}venant de { $source }
 }{ $reason ->
    [none] {""}
   *[other] {" "}· { $reason }
 }{ $cause ->
    [none] {""}
   *[other] {" "}· { $cause }
 }.
log_journal_late = Le journal n'est pas écrit aussi vite qu'il le faudrait : la base de données est lente ou son disque plein.
    .remedy = Vérifiez la place et la vitesse du disque.
log_drain_incomplete = Le temps de l'arrêt est écoulé : appels coupés { $calls }.
log_unregister_incomplete = Toutes les lignes n'ont pas pu être désenregistrées avant l'arrêt.
log_engine_event_ignored = Événement inconnu du moteur vocal ignoré{ $event_type ->
    [none] {""}
   *[other] {" "}({ $event_type })
 }.

## Label

privacy_erased = Effacé : appels { $calls }, conversations écrites { $chats }, enregistrements { $recordings }, autres éléments { $entries }. Les coûts restent, sans le numéro.
privacy_in_use = Un appel ou une conversation de ce numéro est en cours : rien n'a été effacé. Recommencez quand il sera terminé.
privacy_failed = La demande n'a pas abouti : { $cause }
privacy_recordings_left = { $count ->
    [one] { $count } enregistrement n'a pas pu être retiré du disque
   *[other] { $count } enregistrements n'ont pas pu être retirés du disque
 } : leurs chemins sont dans le journal. Retirez-les à la main.
geo_imported = Codes postaux et communes lus : { $count }. Ils sont dans { $path } ; le back-office les lira à son prochain démarrage.
geo_failed = Les codes postaux ne peuvent pas être lus ou écrits : { $path } : { $cause }
calls_none = Aucun appel.
calls_running = en cours
label_who = Qui a terminé
label_why = Pourquoi
label_remedy = Que faire ?
label_call = Appel
label_from = De
label_to = Vers
label_line = Ligne
label_agent_name = Agent
label_started = Début
label_duration = Durée
label_recording = Enregistrement
label_timings = Délais
label_turns = Tours de parole
label_sdp = Décisions audio (SDP)
label_rtp = Son (RTP)
label_tools = Outils
label_playout = Ce que l'appelant a entendu
label_timeline = Déroulement
label_ladder = Échanges SIP
label_peer = opérateur
who_caller = l'appelant
who_agent = l'agent
who_operator = un opérateur
who_network = le réseau
who_engine = le moteur vocal
who_system = ce service
who_nobody = personne : l'appel est en cours
timing_invite_to_ring = de l'appel à la sonnerie : { $value }
timing_invite_to_answer = de l'appel à la réponse : { $value }
timing_answer_to_first_audio = de la réponse au premier son de l'agent : { $value }
timing_answer_to_first_packet = de la réponse au premier son de l'appelant : { $value }
timing_turns = { $count ->
    [one] { $count } réponse de l'agent
   *[other] { $count } réponses de l'agent
 }, médiane { $median }, la plus lente { $worst }
turn = réponse en { $latency }{ $text ->
    [none] {""}
   *[other] {" "}après « { $text } »
 }
turn_unanswered = sans réponse{ $text ->
    [none] {""}
   *[other] {" "}après « { $text } »
 }
sdp_accepted = { $codec } choisi{ $offered ->
    [none] {""}
   *[other] {" "}parmi { $offered }
 }{ $direction ->
    [none] {""}
   *[other] {" "}· { $direction }
 }
sdp_refused = offre refusée : { $refusal ->
    [no_common_codec] aucun codec commun
    [no_audio] pas de flux audio
    [bad_sdp] description illisible
    [srtp_required] la ligne exige un son chiffré
    [srtp_refused] le chiffrement proposé est refusé
    [unusable_address] adresse audio inutilisable
   *[other] { $refusal }
 }{ $offered ->
    [none] {""}
   *[other] {" "}(proposé : { $offered })
 }
sdp_details = nous { $local }, l'autre côté { $remote }, { $srtp ->
    [none] son en clair
   *[other] son chiffré ({ $srtp })
 }, { $tones ->
    [yes] touches RFC 4733
   *[other] pas de touches RFC 4733
 }
rtp_counts = paquets envoyés : { $sent }, reçus : { $received }, perdus : { $lost }, en retard : { $late }
rtp_quality = gigue { $jitter } ms{ $round_trip ->
    [none] {""}
   *[other] {" "}· aller-retour { $round_trip } ms
 }{ $remote_loss ->
    [none] {""}
   *[other] {" "}· perdus chez l'autre côté { $remote_loss }
 }{ $mos ->
    [none] {""}
   *[other] {" "}· qualité { $mos } sur 4,5
 }
rtp_refused = { $count } paquets d'une autre source ou illisibles ont été refusés
rtp_one_way = le son n'a circulé que dans un sens : { $address ->
    [none] rien n'est arrivé de l'appelant
   *[other] { $sent } paquets envoyés à { $address }, rien n'est arrivé de l'appelant
 }
rtp_stun_unreached = l'adresse vue par un serveur STUN a été annoncée, et rien n'y est arrivé
rtp_none = aucun son n'a circulé
rtp_private_remote = l'autre côté a donné une adresse privée ({ $address })
rtp_private_local = nous avons annoncé une adresse privée ({ $address })
playout_whole = { $item } : entendu en entier ({ $played })
playout_cut = { $item } : coupé après { $played }
playout_open = { $item } : fin inconnue
tool_ok = { $name } : réussi{ $took ->
    [none] {""}
   *[other] {" "}en { $took }
 }
tool_failed = { $name } : { $outcome }{ $took ->
    [none] {""}
   *[other] {" "}après { $took }
 }
tool_open = { $name } : pas de réponse avant la fin de l'appel
fact_silent_caller = rien n'a été entendu de l'appelant
fact_slow_answer = l'agent a mis { $value } à parler après la réponse
fact_apology_heard = l'appelant a entendu une excuse avant la fin
fact_apology_unheard = l'appelant n'a pas entendu d'excuse en entier
fact_retry = le même appel peut aboutir un peu plus tard
fact_sip_status = réponse SIP : { $status }
line_invited = appel reçu
line_placed = appel lancé
line_ringing = ça sonne
line_answered = répondu
line_established = la conversation est ouverte
line_first_audio = premier son de l'agent
line_first_packet = premier son de l'appelant
line_sdp_accepted = audio convenu : { $codec }
line_sdp_refused = audio refusé : { $refusal ->
    [no_common_codec] aucun codec commun
    [no_audio] pas de flux audio
    [bad_sdp] description illisible
    [srtp_required] la ligne exige un son chiffré
    [srtp_refused] le chiffrement proposé est refusé
    [unusable_address] adresse audio inutilisable
   *[other] { $refusal }
 }
line_latched = le son vient de { $from }
line_source_refused = paquets d'une autre source refusés ({ $from })
line_media_lost = plus de son de l'appelant depuis { $ms }
line_media_resumed = le son de l'appelant revient
line_speech_started = l'appelant parle
line_speech_stopped = l'appelant se tait
line_caller_said = appelant : « { $text } »
line_agent_said = agent : « { $text } »
line_agent_cut = agent : « { $text } » (coupé, entendu { $heard })
line_system_said = service : { $text }
line_engine_connecting = connexion au moteur vocal (essai { $attempt })
line_engine_ready = moteur vocal prêt
line_engine_lost = moteur vocal perdu
line_engine_rotating = session du moteur vocal renouvelée
line_engine_closed = moteur vocal quitté
line_engine_stalled = le moteur vocal est connecté mais ne répond plus
line_engine_event = moteur : { $name }{ $detail ->
    [none] {""}
   *[other] {" "}· { $detail }
 }
line_barge_in = l'appelant coupe l'agent après { $played }
line_false_interruption = ce n'était qu'un bruit : l'agent reprend
line_false_barge_in = pas de voix de l'appelant (un bruit, ou l'écho de l'agent) : rien n'est interrompu
line_dictation = l'agent a demandé de dicter quelque chose : les pauses sont attendues
line_dictation_over = les pauses terminent de nouveau le tour de l'appelant comme d'habitude
line_playout_started = l'agent commence ({ $item })
line_playout_finished = l'agent a fini ({ $item }, { $played })
line_playout_cleared = l'agent est coupé ({ $item }, { $played } entendues)
line_tool_called = outil demandé : { $name }
line_tool_started = outil lancé : { $name }
line_tool_refused = outil refusé : { $name } ({ $outcome })
line_tool_finished = outil terminé : { $name } ({ $outcome }){ $took ->
    [none] {""}
   *[other] {" "}en { $took }
 }
line_goodbye_started = l'au revoir commence et n'est plus interrompu
line_goodbye_complete = l'au revoir est prononcé en entier
line_goodbye_cut = l'au revoir n'a pas pu être prononcé en entier
line_reprompted = l'agent demande si l'appelant est là ({ $count })
line_max_duration_warned = l'agent annonce la fin prochaine
line_dead_air = silence de { $silent } couvert par un son
line_answered_by = { $who ->
    [human] une personne a répondu
    [machine] un répondeur a répondu
    [machine_beep] le répondeur enregistre à partir d'ici
   *[other] on ne sait pas qui a répondu : traité comme une personne
 }
line_hold = mis en attente
line_unhold = repris
line_transfer_started = transfert demandé au côté de l'appelant : { $target }
line_transfer_declined = le côté de l'appelant ne transfère pas ({ $reason }) : un second appel est lancé
line_target_called = second appel lancé : { $target }
line_target_rings = cela sonne là-bas, l'appelant l'entend
line_target_announced = l'annonce a été entendue par la personne appelée
line_target_not_announced = l'annonce à la personne appelée n'a pas pu être jouée jusqu'au bout
line_target_screened = une touche a été demandée à la personne appelée : { $outcome }
line_returned = l'appelant est de retour avec l'agent
line_person_came = { $name } est entré dans l'appel depuis une page
line_conferred = l'appelant, l'agent et la personne s'entendent tous
line_agent_left = l'agent est parti ; l'appelant et la personne continuent
line_parked = { $by } a mis l'appelant en attente, place { $place }
line_retrieved = { $by } a repris l'appelant de la place { $place } après { $waited }
line_parking_timed_out = personne n'a repris l'appelant de la place { $place } en { $waited }
line_parking_given = l'appelant de la place { $place } a été rendu à l'agent après { $waited }
announcement_not_spoken = Le moteur vocal n'a pas prononcé l'annonce destinée à la personne appelée.
line_target_ended = la personne à qui l'appelant a été passé a quitté l'appel : { $reason }
line_transfer_done = l'appelant a été transféré
line_transfer_failed = l'appelant n'a pas été transféré : { $reason }
line_dtmf_received = touche { $digit } reçue
line_dtmf_sent = touche { $digit } envoyée
line_session = conversation : { $name }
line_ended = fin de l'appel
line_unknown = événement d'une version plus récente
demo_recording = Enregistrement : { $path } (appelant à gauche, agent à droite)
demo_explanation = Explication : { $path }
demo_stop = Ctrl+C pour arrêter.
demo_ringing = ça sonne
demo_answered = répondu
demo_ended = fin de l'appel
demo_standin_engine = Démonstration sans clé ni réseau : un moteur vocal de remplacement répond, un appelant scripté téléphone.
demo_real_engine = OPENAI_API_KEY est réglée : la démonstration parle avec le vrai service.
demo_passed = La conversation était juste.
demo_failed = La conversation n'était pas juste : { $cause }.

demo_no_record = L'appel { $id } n'a pas laissé de fiche.
demo_not_answered = L'appel de démonstration n'a pas eu de réponse : { $cause }
demo_softphone = Pour parler vous-même à l'agent, appelez sip:{ $address } avec un téléphone logiciel.
demo_calling = Appel de { $address }…
demo_caller_said = appelant  { $text }
demo_agent_said = agent     { $text }
demo_interrupted = {"          "}(coupé par l'appelant après { $played })
demo_real_key = Pour une vraie voix : OPENAI_API_KEY=… allo demo
demo_ringing_after = sonnerie après { $ms } ms
demo_answered_after = réponse après { $ms } ms
demo_first_audio_after = premier son de l'agent { $ms } ms après la réponse
demo_turn_after = l'agent répond { $ms } ms après la fin de la phrase
demo_silent_after = l'agent se tait { $ms } ms après l'interruption

## API de la plateforme

platform_unauthorized = La preuve d'identité manque, est fausse ou a expiré.
    .remedy = Envoyez « X-API-Key: … » avec une clé de compte, ou « Authorization: Bearer … » avec le jeton d'un agent ou d'une session.
api_forbidden = Cette preuve d'identité ne permet pas cette opération.
    .remedy = Demandez un rôle ou une portée plus large à l'administrateur du compte.
api_unknown = Cet élément n'existe pas.
api_invalid = La demande est comprise, mais elle a { $count ->
    [one] une faute
   *[other] { $count } fautes
 }.
    .remedy = Le champ « errors » donne chaque faute avec sa place.
api_rate_limited = Trop de demandes : la prochaine est admise dans { $seconds } s.
api_body_too_large = Le corps de la demande dépasse 1 Mo.
api_body_too_deep = Le JSON de la demande a plus de { $depth } niveaux.
api_body_slow = Le corps de la demande n'est pas arrivé à temps.
api_media_type = Le corps doit être du JSON.
    .remedy = Envoyez « Content-Type: application/json ».
api_precondition_failed = L'élément a changé depuis que vous l'avez lu.
    .remedy = Relisez-le et envoyez son « ETag » dans « If-Match ».
api_precondition_required = Ce compte demande « If-Match » à chaque modification.
    .remedy = Lisez l'élément et envoyez son « ETag » dans « If-Match ».
api_idempotency_mismatch = Cette clé d'idempotence a déjà servi à une autre demande.
    .remedy = Prenez une clé neuve pour chaque demande différente.
api_idempotency_in_progress = La même demande est en cours.
    .remedy = Attendez son résultat, puis répétez-la.
api_idempotency_key = La clé d'idempotence doit avoir de 1 à 255 caractères ASCII visibles.
api_exists = Un élément de ce nom existe déjà.
api_in_use = L'élément sert encore à d'autres.
api_number_taken = Ce numéro n'est pas disponible.
api_login_failed = L'adresse ou le mot de passe est faux.
api_login_blocked = Trop d'échecs de connexion : réessayez dans { $seconds } s.
api_forged = La demande ne vient pas d'une page de cette adresse, ou son jeton manque.
    .remedy = Rechargez la page. Un programme envoie son identifiant dans un en-tête, pas dans un cookie.
api_link_used = Ce lien est faux, a déjà servi ou a expiré.
    .remedy = Redémarrez le serveur, ou lancez allo admin link : tous deux en impriment un nouveau.
server_fault_engine = Son moteur vocal est injoignable.
server_fault_registration = L'un de ses comptes SIP n'est pas enregistré.
server_fault_media = Aucun port n'est disponible pour le son d'un appel.
server_fault_hung = Il ne répond pas : il est arrêté puis relancé.
server_fault_died = Il s'est arrêté sans qu'on le lui demande.
server_fault_memory = Il occupe plus de mémoire qu'il n'en a le droit.
server_fault_settings = Il n'est pas utilisable tel qu'il est écrit : { $cause }
first_run_link = Le premier administrateur se crée ici (une seule fois, sous { $hours } h) : { $link }
first_run_unneeded = Un administrateur existe déjà ; ce lien en crée un autre.
first_run_failed = Le lien de l'administrateur n'a pas pu être créé : { $cause }
pages_missing = Ce serveur a été compilé sans ses pages web.
    .remedy = Compilez-les avec make ui, puis recompilez le serveur ; l'API et les appels fonctionnent quand même.
api_ticket_used = Ce ticket est faux, a déjà servi ou a expiré.
    .remedy = Recommencez l'appel.
api_too_many_watchers = Trop de flux d'événements sont ouverts.
    .remedy = Fermez-en un avant d'en ouvrir un autre.
api_too_many_listeners = Trop de personnes écoutent.
    .remedy = Cessez une écoute avant d'en commencer une autre.
api_call_not_heard = On ne peut pas écouter l'appel { $id } en ce moment.
    .remedy = Réessayez quand il est décroché. L'audio d'un appel confié à un autre programme s'écoute dans ce programme.
api_person_not_now = Personne ne peut entrer dans l'appel { $id } ni y changer de place en ce moment.
    .remedy = Réessayez dans un instant, quand l'appel est décroché, que l'on sait qui a répondu et que l'appelant a entendu qu'une machine parle. Un appel qui se termine ne prend plus personne.
api_person_there = Une personne est déjà dans l'appel { $id }, ou on l'y appelle.
    .remedy = Une seule à la fois : attendez qu'elle parte, ou rendez d'abord l'appelant à l'agent.
api_person_nobody = Personne d'autre que l'agent n'est avec l'appelant de { $id }.
    .remedy = Rejoignez d'abord l'appel.
api_person_too_often = On est entré trop souvent dans cet appel.
    .remedy = Écoutez-le, ou faites transférer l'appelant.
api_call_not_parked = L'appelant de { $id } n'est pas en attente.
    .remedy = Regardez parked dans GET /api/calls/live ; quelqu'un d'autre l'a peut-être repris, ou l'agent l'a de nouveau.
api_parking_full = Les { $max } places d'attente du compte sont toutes prises.
    .remedy = Reprenez l'un des appelants qui attendent, ou rendez celui-ci à l'agent.
api_invite_nobody = On n'appelle personne pour l'appelant de { $id }.
    .remedy = Qui a déjà l'appelant s'en va quand vous le rendez à l'agent, ou en raccrochant.
api_invite_not_allowed = La ligne de cet appel n'a pas le droit d'appeler ce numéro.
    .remedy = Autorisez-le dans outboundPrefixes de la ligne ou de son compte, par exemple « +33 » ou « sip:pbx.exemple ». Les numéros surtaxés ou satellitaires ne sont jamais appelés.
api_invite_no_way = La ligne de l'appel { $id } n'a pas de chemin vers ce numéro.
    .remedy = Donnez une adresse « sip: », ou appelez depuis un appel venu par un compte SIP.
api_no_chat = Cet agent ne tient pas de conversation écrite.
api_call_not_allowed = Aucune ligne de cet agent n'a le droit d'appeler ce numéro.
    .remedy = Autorisez-le dans outboundPrefixes de la ligne, par exemple « +33 ». Les numéros surtaxés ou satellitaires ne sont jamais appelés.
api_call_premium = Les numéros surtaxés, satellitaires et personnels ne sont jamais appelés.
    .remedy = Appelez un autre numéro ; aucun réglage n'ouvre ceux-là.
api_call_at_night = Ce compte n'appelle pas ce numéro en ce moment : sa nuit dure jusqu'à { $until }.
    .remedy = Rappelez de jour, ou changez outbound.night dans les réglages du compte.
api_calls_at_once = { $max } appels de ce compte sont déjà en cours, autant qu'il peut en passer à la fois.
    .remedy = Attendez que l'un se termine, ou faites relever par l'exploitant outbound.callsMax dans les réglages du compte.
api_calls_per_hour = Ce compte a passé { $max } appels en une heure, autant qu'il peut.
    .remedy = Attendez, ou faites relever par l'exploitant outbound.callsPerHour dans les réglages du compte.
api_calls_spent = Les appels passés par ce compte ont coûté en un jour tout ce qu'ils pouvaient coûter.
    .remedy = Attendez, ou faites relever par l'exploitant outbound.spendPerDay dans les réglages du compte.
api_calls_no_balance = Le solde ou le budget de ce compte est épuisé : il ne passe plus d'appels.
    .remedy = Ajoutez au solde, ou relevez le budget du jour.
api_chat_unavailable = Cet agent ne peut pas répondre en ce moment : il est en pause, ou ses réglages sont à corriger.
api_chat_ended = Cette conversation est terminée : commencez-en une autre.
api_chat_busy = L'agent n'a pas fini de répondre au message précédent : attendez sa réponse.
api_chat_full = Cette conversation a atteint { $max } messages : commencez-en une autre.
api_chat_too_many = Trop de conversations sont ouvertes en ce moment : réessayez dans un instant.
api_chat_origin = Les pages de { $origin } n'ont pas le droit d'ouvrir cette conversation. Ajoutez l'origine à chatOrigins de l'agent.
chat_turn_failed = La réponse n'a pas pu être donnée ({ $cause }) : envoyez votre message une nouvelle fois.
log_chat_started = Conversation écrite { $chat } commencée avec l'agent { $agent }.
log_chat_ended = Conversation écrite { $chat } terminée : { $reason }.
log_chat_failed = La conversation écrite { $chat } ne peut pas continuer pour l'instant : { $cause }.
log_chats_not_ended = Les conversations écrites abandonnées n'ont pas pu être terminées : { $cause }.
api_line_tests_busy = Trop de tests de lignes sont en cours.
    .remedy = Attendez quelques secondes, puis recommencez.
api_trials_busy = Trop d'essais sont en cours.
    .remedy = Attendez quelques secondes, puis recommencez.
api_trial_failed = L'essai n'a pas pu être fait : { $cause }.
api_share_over = Ce lien est faux, a expiré ou a été repris.
    .remedy = Demandez-en un nouveau à qui vous l'a envoyé.
api_shares_full = Cet appel a déjà beaucoup de liens.
    .remedy = Attendez que d'anciens liens soient oubliés, ou partagez-en un qui existe.
api_call_runs = L'appel { $id } n'est pas terminé.
    .remedy = Partagez-le quand il le sera.
api_call_refused = L'appel n'a pas pu être passé : { $cause }.
api_offer_no_audio = L'offre ne contient aucun son qui puisse passer.
    .remedy = Ajoutez le microphone à la RTCPeerConnection avant de faire son offre.
api_offer_no_codec = Aucun des codecs de l'offre n'est des nôtres : { $offered }
    .remedy = Proposez Opus, PCMU ou PCMA.
api_offer_unusable = L'offre est inutilisable : { $cause }
    .remedy = Envoyez tout le texte SDP de la description locale de la RTCPeerConnection, une fois ses candidats réunis.
api_no_media_port = Aucun port n'est libre pour le son par WebRTC.
    .remedy = Appelez sans offre, c'est-à-dire par WebSocket ; si cela se répète, élargissez la plage de ports RTP.

carrier_stream = Appel apporté par { $carrier } sous le nom { $call }.
log_carrier_refused = { $carrier } n'a pas fait ce qui lui était demandé ({ $request }) : { $cause }.
log_stream_refused = Flux audio de { $carrier } refusé, venant de { $source } : { $cause }.
log_webhook_refused = Requête de { $carrier } refusée, venant de { $source } : { $cause }.
log_carrier_status = { $carrier } dit de l'appel { $call } : { $state }.
## Requêtes qui quittent la maison

log_webhook_failing = { $destination } ne prend pas ses webhooks ({ $cause ->
    [none] sans cause donnée
   *[other] { $cause }
}). Ils sont retentés pendant un jour.
log_traces_lost = Le collecteur de traces ne les prend pas ({ $cause }). Les appels continuent ; ce qu'il ne prend pas est perdu.
    .remedy = Vérifiez traces.endpoint et traces.headers, et que le collecteur tourne.
log_traces_taken = Le collecteur reprend les traces.
log_webhook_recovered = { $destination } prend de nouveau ses webhooks.
log_webhook_dead = Le webhook { $delivery } pour { $destination } est abandonné ({ $cause ->
    [none] sans cause donnée
   *[other] { $cause }
}). Il peut être rejoué.
log_outbox_store_failing = La base ne répond pas à la boîte d'envoi : les webhooks attendent.
log_outbox_store_recovered = La base répond de nouveau à la boîte d'envoi.
courier_allow_invalid = tools.allow_private : « { $entry } » n'est ni une origine comme http://10.0.0.5:3000 ni un réseau comme 10.0.0.0/8.
carrier_call_refused = L'appel n'a pas été passé : { $cause }.

## Calls of agents of the database

call_check_unanswered = Une vérification avant l'appel est restée sans réponse ({ $reply }) : l'appel continue.
call_check_refused = La vérification « { $check } » a refusé l'appel.
call_checks_failed = Les vérifications avant l'appel n'ont pas pu être faites : { $cause }.
    .remedy = Vérifiez la base de données ; calls.checks_fail dit ce que deviennent ces appels.
session_data_missing = Les données de l'appel manquent : { $cause }.
    .remedy = Vérifiez l'adresse externalSessionUrl de l'agent et que le service répond.
tool_refused_by_policy = L'outil { $tool } n'a pas été exécuté : { $why }.
log_tool_run_left = { $count } exécutions d'outils n'ont pas fini à temps après leur appel ; elles seront reprises.
log_line_left_out = La ligne { $line } n'est pas utilisée : son agent ne peut pas l'être.
log_agent_left_out = L'agent { $agent } ne prend pas d'appels : { $cause }.
    .remedy = Corrigez l'agent ; ses lignes reviennent d'elles-mêmes.
log_directory_unread = Les lignes et les agents n'ont pas pu être relus : { $cause }. Les précédents restent en service.
log_line_password_unread = Le mot de passe de la ligne { $line } ne peut pas être lu : elle ne s'enregistre pas.
    .remedy = Saisissez-le de nouveau, ou vérifiez la clé de chiffrement.
log_calls_closed = { $count } appels d'un processus mort ont été terminés avec leur coût et leur notification.
log_tool_runs_resumed = { $count } exécutions d'outils d'un processus mort sont reprises avec la même clé.

## Le pont entre SIP et l'application d'un tiers

log_application_unreachable = L'application de l'appel { $call } n'a pas pu être jointe : { $cause }.
    .remedy = Vérifiez que l'application tourne à l'adresse de --ws-target.
log_bridge_callback_failed = { $destination } n'a pas pris la notification { $event } : { $cause }. L'appel continue avec les réglages du pont.
bridge_username_missing = Le nom d'utilisateur SIP manque.
    .remedy = Donnez --sip-username, ou la variable SIP_USERNAME.
bridge_option_invalid = { $option } ne peut pas valoir « { $value } ».
    .remedy = Exemple : { $example }.
bridge_sound_unsupported = { $option } demande un traitement du son que cette version n'a pas.
    .remedy = Retirez l'option.
bridge_token_missing = L'interface à l'adresse { $address } serait ouverte à d'autres machines sans jeton.
    .remedy = Donnez --api-token (16 caractères au moins), ou laissez --api-host à 127.0.0.1.
bridge_call_over = Cet appel est déjà terminé.
bridge_call_not_ringing = Cet appel n'attend pas de réponse.
bridge_busy = Le pont a déjà tous les appels qu'il peut avoir ({ $count }).
    .remedy = Attendez la fin d'un appel, ou augmentez --max-concurrent-calls.
bridge_transfer_running = Un transfert de cet appel est déjà en cours.
bridge_transfer_refused = Le transfert n'a pas été accepté : { $cause }.
    .remedy = Vérifiez la destination, et que la ligne permet les transferts (REFER).

## The service manager

log_agent_state = L'agent { $agent } passe de { $from } à { $to }{ $cause ->
    [none] {""}
   *[other] {" "}({ $cause })
 }.
log_agent_failed = L'agent { $agent } a échoué trop souvent et n'est retenté que toutes les { $minutes } minutes : { $cause }.
    .remedy = GET /agents/{ $agent }/status dit ce qui ne va pas ; corrigez, puis POST /agents/{ $agent }/start.
log_agent_process_begun = Le processus { $role } de l'agent { $agent } est lancé sous le numéro { $pid }, port { $port }.
log_agent_process_found = Le processus { $role } { $pid } de l'agent { $agent } tourne, port { $port } : il est repris.
log_agent_processes_found = { $count ->
    [one] Un processus d'agent tournait déjà : ses appels continuent.
   *[other] { $count } processus d'agents tournaient déjà : leurs appels continuent.
}
log_agent_process_died = Le processus { $role } { $pid } de l'agent { $agent }, port { $port }, a disparu sans qu'on lui ait demandé de s'arrêter. Son journal est dans le dossier de l'agent, sous agents dans le répertoire de données.
log_agent_process_not_begun = Un processus de l'agent { $agent } n'a pas pu être lancé : { $cause }.
apart_second_manager = Un autre gestionnaire tient les agents de ce répertoire de données : il détient { $path }.
    .remedy = Arrêtez-le d'abord, ou donnez à celui-ci son propre répertoire de données.

log_agents_managed = { $count ->
    [one] { $count } agent est géré et contrôlé toutes les { $seconds } s.
   *[other] { $count } agents sont gérés et contrôlés toutes les { $seconds } s.
 }
log_agents_discovered = { $count ->
    [one] { $count } agent trouvé à { $address } : { $added } nouveaux, { $changed } changés, { $removed } disparus.
   *[other] { $count } agents trouvés à { $address } : { $added } nouveaux, { $changed } changés, { $removed } disparus.
 }
log_discovery_failed = La liste des agents n'a pas pu être lue à { $address } : { $cause }. Les agents connus continuent.
    .remedy = Vérifiez que le back-office fonctionne et que NEXT_API_URL y mène.
log_discovery_back = La liste des agents se lit de nouveau à { $address }.
log_discovery_doubted = La liste de { $address } nomme { $listed } agents sur { $known } : elle est relue avant tout arrêt.
log_discovered_left_out = L'agent { $agent } de la liste est inutilisable : { $cause }. Ce qui en était connu reste en service.
    .remedy = Corrigez-le dans le back-office ; la prochaine lecture le reprendra.
api_agent_unknown = Il n'y a pas d'agent { $id }.
    .remedy = GET /agents en donne la liste.
api_agent_not_written = L'ordre n'a pas pu être enregistré : il n'est pas exécuté.
    .remedy = Examinez la base de données, puis redonnez l'ordre.
api_discovery_failed = La liste des agents n'a pas pu être lue à { $address } : { $cause }. Les agents connus continuent.
    .remedy = Vérifiez que le back-office fonctionne et que NEXT_API_URL y mène.
api_foreign_page = Une page d'un autre site ne peut pas piloter ce serveur.
    .remedy = Utilisez curl ou les pages d'administration sur cette machine.

log_accounts_loading = Chargement des comptes SIP depuis la base de données.
log_account_default = Compte SIP par défaut : { $label } (ID: { $account }).
log_account_created = Création d'un gestionnaire SIP pour '{ $label }' (URI: { $uri }).
log_accounts_starting = Démarrage de tous les gestionnaires SIP ({ $count } compte(s)).
log_account_started = Gestionnaire SIP démarré pour l'ID { $account }.
log_passwords_sealed = Mots de passe en clair chiffrés : { $count }.
log_workflow_selected = Workflow SIP sélectionné : { $workflow }.
log_workflow_account = Workflow associé au compte SIP ID: { $account }.
log_nat_not_set = La ligne { $line } doit trouver l'adresse de son audio par { $way }, mais { $setting } n'est pas réglé : { $address } est annoncée.
    .remedy = Réglez { $setting }, ou choisissez une autre façon (nat) pour la ligne.
log_stun_silent = Le serveur STUN { $server } n'a pas répondu à temps : la ligne { $line } annonce { $address } pour son audio.
    .remedy = Vérifiez nat.stun_server (STUN_SERVER) et que des paquets UDP peuvent partir vers lui ; ou réglez rtp.public_address (PUBLIC_IP).
log_stun_refused = Le serveur STUN { $server } refuse ({ $code }) : la ligne { $line } annonce { $address } pour son audio.
    .remedy = Nommez un serveur qui répond sans identifiants (nat.stun_server), ou réglez rtp.public_address (PUBLIC_IP).
log_turn_silent = Le serveur TURN { $server } n'a pas répondu à temps : la ligne { $line } annonce { $address } pour son audio, sans relais.
    .remedy = Vérifiez l'adresse du serveur TURN et que des paquets UDP peuvent partir vers lui.
log_turn_refused = Le serveur TURN { $server } n'a donné aucune adresse : la ligne { $line } annonce { $address } pour son audio, sans relais.
    .remedy = Vérifiez le nom et le mot de passe au serveur TURN, et qu'il a des ports libres et du quota.
log_turn_password_unread = Le mot de passe au serveur TURN de la ligne { $line } ne peut pas être déchiffré : rien n'est relayé pour elle.
    .remedy = Saisissez le mot de passe de nouveau (turn_password).
log_call_failed_over = Personne n'a été joint ({ $status ->
    [0] opérateur injoignable
   *[other] réponse { $status }
 }) : l'appel passe par le compte SIP ID: { $account }.
log_account_failing = Alerte : le compte SIP ID: { $account } ne fonctionne plus.
log_account_recovered = Le compte SIP ID: { $account } fonctionne de nouveau.
log_alert_not_written = L'alerte n'a pas pu être enregistrée : { $cause }.

profile_registrar_ovh = Le domaine de la ligne (sip.ovh.fr, sip3.ovh.fr…) que donne l'espace client ; REGISTER ne nomme pas d'utilisateur.
profile_registrar_host = Le serveur d'enregistrement de l'opérateur, le même pour tous ses clients.
profile_registrar_given = Le domaine que l'opérateur donne avec l'accès ; il diffère d'un client à l'autre.
profile_registrar_twilio = Le domaine de terminaison du trunk (nom.pstn.twilio.com) : rien ne s'enregistre.
profile_registrar_lan = La box elle-même, par son nom du réseau local ; un utilisateur dans la cible de REGISTER y serait ignoré sans réponse.
profile_registrar_exchange = L'autocommutateur : son adresse et son port.
profile_registrar_gateway = La passerelle elle-même : son adresse du réseau local.
profile_registers_line = La ligne n'est appelable que tant qu'elle est enregistrée.
profile_registers_credentials = Une connexion par identifiants s'enregistre ; une connexion par adresse IP ne le fait pas.
profile_registers_extension = allo y est un poste comme un autre téléphone.
profile_registers_trunk = Un trunk appelle une adresse fixe : l'opérateur n'accepte pas de REGISTER.
profile_registers_gateway = La passerelle appelle allo directement ; allo n'a rien à enregistrer.
profile_transport_udp = Le transport que l'opérateur documente en premier ; TCP évite les messages trop longs pour UDP.
profile_transport_udp_only = La box n'accepte ses postes qu'en UDP.
profile_transport_tls = L'opérateur l'offre, et le trunk traverse Internet : mots de passe et numéros y restent lisibles sans TLS.
profile_port_standard = Le port habituel de SIP.
profile_port_tls = Le port habituel de SIP sur TLS.
profile_port_gateway = Le port de la première ligne ; les lignes suivantes de la passerelle ont chacune le leur.
profile_expires_long = L'opérateur accepte 30 minutes et peut limiter les clients qui se renouvellent trop souvent.
profile_expires_medium = Dix minutes : assez court pour retrouver une ligne après une coupure, sans charger l'opérateur.
profile_expires_short = L'enregistrement ne quitte pas le réseau local : court, il est retrouvé vite après un redémarrage.
profile_expires_unused = Sans enregistrement, cette durée ne sert pas.
profile_keep_alive_nat = Une box oublie un chemin UDP après 30 secondes de silence : deux lignes vides toutes les 25 secondes le gardent ouvert.
profile_keep_alive_health = Rien ne s'enregistre : OPTIONS dit si le trunk répond, et la bascule s'en sert.
profile_keep_alive_lan = Aucun routeur entre les deux : inutile.
profile_keep_alive_exchange = L'autocommutateur répond à OPTIONS : une panne est vue sans attendre le renouvellement.
profile_caller_id_own_number = L'opérateur n'affiche que le numéro de la ligne et refuse un From étranger.
profile_caller_id_from_account = From doit être le compte (403 sinon) ; le numéro affiché va dans P-Preferred-Identity.
profile_caller_id_from_number = L'opérateur lit dans From le numéro appelant, qui doit lui appartenir ou être vérifié.
profile_caller_id_box = La box choisit le numéro affiché d'après le poste.
profile_caller_id_extension = Le poste est reconnu par From ; le numéro affiché se règle dans l'autocommutateur.
profile_caller_id_asserted = From reste le poste ; chan_pjsip lit P-Asserted-Identity d'un poste de confiance (trust_id_inbound).
profile_caller_id_analogue = Une ligne analogique affiche toujours son propre numéro.
profile_numbers_double_zero = L'opérateur documente 0033… pour tous les appels.
profile_numbers_digits = L'opérateur veut le numéro international sans plus.
profile_numbers_national = Les appels nationaux sont composés comme en France, les autres par 00.
profile_numbers_e164 = L'opérateur exige E.164 avec le plus.
profile_numbers_box = La box applique ses propres règles de numérotation ; les postes internes (**1) passent tels quels.
profile_numbers_exchange = Les règles sortantes de l'autocommutateur réécrivent le numéro.
profile_numbers_analogue = La passerelle compose sur une ligne téléphonique : comme un téléphone.
profile_codecs_europe = Le réseau européen est en loi A : aucune conversion.
profile_codecs_america = Le réseau de l'opérateur est en loi µ : aucune conversion.
profile_codecs_exchange = Les deux lois G.711 ; l'autocommutateur choisit.
profile_srtp_none = L'opérateur n'offre pas SRTP sur cet accès : une offre chiffrée y est refusée (488).
profile_srtp_offered = Le son est chiffré où l'autre côté le propose (SDES, donc avec TLS).
profile_srtp_lan = Le son ne quitte pas le réseau local.
profile_echo_analogue = L'hybride d'une ligne analogique renvoie ce que dit l'agent.

api_certificate_shared = Un autre compte de la plateforme reconnaît déjà ses appels à ce certificat ({ $certificate }) : un appel qui le montre pourrait être de l'un comme de l'autre. Rien n'a été changé.
    .remedy = Prenez un autre certificat pour ce trunk, ou reconnaissez-le à ses adresses (allow).
api_rotation_untested = Le nouveau mot de passe ne peut pas être essayé : le compte n'est pas actif ou ne s'enregistre pas. Changez-le directement (PATCH).
api_rotation_refused = Le nouveau mot de passe n'a pas permis d'enregistrer le compte ({ $cause }). Rien n'a été changé.

migrate_nothing = Rien à migrer : ni compte SIP dans les réglages, ni ligne utilisable dans app_settings.
migrate_already = Déjà fait : le compte { $uri } ({ $origin }) existe, ID { $account }. Rien n'a été changé.
migrate_would = Serait créé : un compte SIP pour { $uri } ({ $origin }). Rien n'a été changé (--dry-run).
migrate_done = Compte SIP créé pour { $uri } ({ $origin }) : ID { $account }, mot de passe chiffré.
migrate_remove_setting = Retirez maintenant SIP_USERNAME et SIP_PASSWORD des réglages, sinon la ligne s'enregistre deux fois.
migrate_unreadable = Les réglages d'avant ne peuvent pas être lus : { $cause }.

## Back office

office_missing = Il manque « { $field } ».
    .remedy = Ajoutez ce champ à la demande.
office_field = « { $field } » n'est pas acceptable ; attendu : { $expected }.
office_unauthorized = La preuve d'identité ou la signature manque, est fausse ou a expiré.
    .remedy = Envoyez « Authorization: Bearer … » avec le jeton d'une session, « X-API-Key: … » avec une clé de compte, ou signez la demande avec le secret du compte.
office_reference = La demande désigne un élément qui n'existe pas, ou l'élément sert encore à d'autres.
    .remedy = Vérifiez les identifiants ; supprimez d'abord ce qui en dépend.
back_office_address_taken = L'adresse { $address } du back-office est prise ({ $cause }) : ce serveur s'en passe.
    .remedy = Libérez l'adresse, donnez-en une autre par « back_office.listen », ou écrivez « off ».
office_text = « { $field } » doit être un texte, non vide là où il est nécessaire, de { $max } octets au plus.
office_word = « { $field } » doit être l'un de : { $words }.
office_whole = « { $field } » doit être un nombre entier de { $min } à { $max }.
office_number = « { $field } » doit être un nombre de { $min } à { $max }.
office_amount = « { $field } » doit être un montant avec deux décimales au plus.
office_flag = « { $field } » doit être true ou false.
office_instant = « { $field } » doit être un instant, par exemple 2026-11-29T12:30:00Z.
office_clock = « { $field } » doit être une heure HH:MM.
office_date = « { $field } » doit être une date AAAA-MM-JJ.
office_json = « { $field } » doit être du JSON de { $max } octets au plus.
office_list = « { $field } » doit être une liste de { $max } textes au plus.

## Messages aux clients et à l'équipe d'un restaurant
notice_order_created = { $house } : commande n° { $number } confirmée, { $total }, { $mode ->
    [delivery] livraison vers { $when }
    [dine_in] servie vers { $when }
   *[other] prête vers { $when }
 }. { $dishes }
notice_order_ready = { $house } : votre commande n° { $number } { $mode ->
    [delivery] part en livraison
   *[other] est prête
 }.
notice_order_cancelled = { $house } : votre commande n° { $number } est annulée.
notice_reservation_created = { $house } : table réservée pour { $party }, { $when }. Pour annuler, rappelez-nous.
notice_reservation_updated = { $house } : votre réservation est maintenant pour { $party }, { $when }.
notice_reservation_cancelled = { $house } : votre réservation ({ $when }) est annulée.
notice_staff_order = Commande n° { $number }, { $total }, { $mode ->
    [delivery] livraison
    [dine_in] sur place
   *[other] à emporter
 } { $when }
notice_staff_order_cancelled = Commande n° { $number } annulée ({ $total })
notice_staff_order_updated = Commande n° { $number } : { $status }
notice_staff_reservation = Réservation pour { $party }, { $when }, { $name }
notice_staff_reservation_updated = Réservation changée : { $party } personnes, { $when }, { $name }
notice_staff_reservation_cancelled = Réservation annulée : { $party } personnes, { $when }, { $name }
notice_staff_message = { $urgent ->
    [yes] URGENT : message de { $name }
   *[other] Message de { $name }
 }
notice_settings = « { $member } » ne convient pas : { $cause }
    .remedy = Corrigez ce membre ; les autres restent comme ils étaient.
log_notice_dead = Le restaurant { $house } : un message ({ $channel }) n'a pas pu être remis et a été abandonné : { $cause }
    .remedy = Corrigez la cause, puis renvoyez-le (POST /api/notices/ID/replay).
log_notices_unread = Les messages des restaurants n'ont pas pu être lus : { $cause }
log_notice_no_sender = Le restaurant { $house } demande des messages ({ $channel }), mais rien ne les envoie.
    .remedy = Donnez { $setting }.
