// Made by build/texts.mjs from src/texts/en.json. Do not edit.

export interface Texts {
  'skip': undefined
  'nav': undefined
  'nav.home': undefined
  'nav.links': undefined
  'nav.people': undefined
  'nav.apps': undefined
  'nav.rules': undefined
  'nav.activity': undefined
  'nav.settings': undefined
  'nav.more': undefined
  'theme.auto': undefined
  'theme.light': undefined
  'theme.dark': undefined
  'settings.language': undefined
  'settings.theme': undefined
  'days': {n: number}
  'today': undefined
  'yesterday': undefined
  'never': undefined
  'unknown': undefined
  'close': undefined
  'undo': undefined
  'retry': undefined
  'why': undefined
  'router': undefined
  'cancel': undefined
  'lost.looking': {time: string | number}
  'lost.gone': undefined
  'lost.action': undefined
  'error.unreachable': undefined
  'error.unknown': undefined
  'home.loading': undefined
  'home.nolinks': undefined
  'home.good': {n: number}
  'home.one': {link: string | number}
  'home.degraded': {links: string | number; n: number}
  'home.shaky': {links: string | number; n: number}
  'home.down': {time: string | number}
  'home.calm': undefined
  'home.carries': {link: string | number}
  'home.carriesHelped': {helper: string | number; link: string | number}
  'home.share': {links: string | number}
  'home.linkDelay': {delay: string | number}
  'home.linkLine': {delay: string | number; loss: string | number}
  'home.most': undefined
  'home.apps': undefined
  'home.quiet': undefined
  'home.happened': undefined
  'home.downUp': {down: string | number; up: string | number}
  'home.flows': {n: number}
  'home.devices': {active: string | number; n: number}
  'health.title': undefined
  'fix.links': undefined
  'fix.rules': undefined
  'warning.since': {time: string | number}
  'warning.text.link-down': {subject: string | number}
  'warning.fix.link-down': undefined
  'warning.text.link-device': {subject: string | number}
  'warning.fix.link-device': undefined
  'warning.text.lan-device': {subject: string | number}
  'warning.fix.lan-device': undefined
  'warning.text.quota': {subject: string | number}
  'warning.fix.quota': undefined
  'warning.text.fight': undefined
  'warning.fix.fight': undefined
  'warning.text.policy-store': undefined
  'warning.fix.policy-store': undefined
  'chart.down': undefined
  'chart.up': undefined
  'chart.delay': undefined
  'chart.measure': undefined
  'chart.unitNow': {unit: string | number}
  'chart.possible': {rate: string | number}
  'chart.otherUp': {rate: string | number}
  'chart.otherDown': {rate: string | number}
  'chart.otherDelay': {delay: string | number}
  'chart.now': undefined
  'chart.home': undefined
  'chart.sum': undefined
  'chart.time': undefined
  'chart.table': undefined
  'chart.hide': undefined
  'chart.span': undefined
  'chart.hour': undefined
  'chart.minutes': undefined
  'chart.waiting': undefined
  'chart.labelDown': {from: string | number; values: string | number}
  'chart.labelUp': {from: string | number; values: string | number}
  'chart.labelDelay': {from: string | number; values: string | number}
  'state.up': undefined
  'state.degraded': undefined
  'state.captive': undefined
  'state.down': undefined
  'state.standby': undefined
  'state.unused': undefined
  'state.spent': undefined
  'state.low': undefined
  'links.none': undefined
  'link.quota': {limit: string | number; used: string | number}
  'app.unknown': undefined
  'activity.none': undefined
  'category.adult': undefined
  'category.advertising': undefined
  'category.ai': undefined
  'category.calls': undefined
  'category.dating': undefined
  'category.development': undefined
  'category.dns': undefined
  'category.education': undefined
  'category.finance': undefined
  'category.food': undefined
  'category.gambling': undefined
  'category.games': undefined
  'category.government': undefined
  'category.health': undefined
  'category.home': undefined
  'category.infrastructure': undefined
  'category.knowledge': undefined
  'category.mail': undefined
  'category.maps': undefined
  'category.messaging': undefined
  'category.music': undefined
  'category.news': undefined
  'category.p2p': undefined
  'category.remote': undefined
  'category.security': undefined
  'category.shopping': undefined
  'category.social': undefined
  'category.storage': undefined
  'category.system': undefined
  'category.travel': undefined
  'category.updates': undefined
  'category.video': undefined
  'category.vpn': undefined
  'category.work': undefined
  'class.realtime': undefined
  'class.interactive': undefined
  'class.streaming': undefined
  'class.web': undefined
  'class.bulk': undefined
  'class.background': undefined
  'aspect.steer': undefined
  'aspect.filter': undefined
  'aspect.qos': undefined
  'aspect.log': undefined
  'why.of': {link: string | number; thing: string | number}
  'why.uses': {links: string | number; thing: string | number}
  'why.balanced': {links: string | number; thing: string | number}
  'why.blocked': {thing: string | number}
  'why.nolink': {thing: string | number}
  'why.inside': {thing: string | number}
  'why.insideText': undefined
  'why.who': {device: string | number; to: string | number}
  'why.knownAs': {app: string | number; category: string | number}
  'why.unknownApp': undefined
  'why.knownHow': {host: string | number; percent: string | number}
  'why.knownBy': {host: string | number}
  'why.builtIn': undefined
  'why.house': {name: string | number}
  'why.person': {name: string | number; owner: string | number}
  'why.decides': undefined
  'why.clamped': undefined
  'why.limits': undefined
  'why.overruled': undefined
  'why.textHouse': undefined
  'why.textPerson': {owner: string | number}
  'why.textBuiltIn': undefined
  'why.textClamped': undefined
  'why.textLimits': undefined
  'why.textOverruled': {owner: string | number}
  'why.textOverruledHouse': undefined
  'why.textNone': undefined
  'why.open': undefined
  'why.family': {n: number}
  'why.families': undefined
  'why.share': {n: number}
  'why.lent': undefined
  'why.refused': undefined
  'why.inbound': {link: string | number}
  'why.kept': {link: string | number}
  'why.sofar': undefined
  'why.moved': {down: string | number; up: string | number}
  'why.running': undefined
  'why.details': undefined
  'why.asked': undefined
  'why.class': undefined
  'why.router': undefined
  'all': undefined
  'search': undefined
  'yes': undefined
  'no': undefined
  'details': undefined
  'activity.save': undefined
  'activity.kind': undefined
  'activity.noneMatch': undefined
  'activity.link': undefined
  'activity.device': undefined
  'activity.policy': undefined
  'activity.system': undefined
  'severity.info': undefined
  'severity.warning': undefined
  'severity.error': undefined
  'event.link.up': {subject: string | number}
  'event.link.degraded': {subject: string | number}
  'event.link.captive': {subject: string | number}
  'event.link.down': {subject: string | number}
  'settings.page': undefined
  'settings.router': undefined
  'settings.version': undefined
  'settings.uptime': undefined
  'settings.time': undefined
  'settings.plan': undefined
  'settings.planLine': {ms: string | number; n: number; time: string | number}
  'settings.healed': undefined
  'settings.links': undefined
  'links.together': {n: number}
  'links.togetherText': undefined
  'links.figure': {links: string | number}
  'links.relay': undefined
  'links.internet': undefined
  'links.asOne': undefined
  'links.part': {rate: string | number; share: string | number}
  'links.lineOff': {time: string | number}
  'links.lineCaptive': undefined
  'links.lineShaky': {time: string | number}
  'links.lineUp': {role: string | number; time: string | number}
  'hardware.title': undefined
  'hardware.none': undefined
  'hardware.ethernet': undefined
  'hardware.wifi': undefined
  'hardware.stick': undefined
  'hardware.modem': undefined
  'hardware.ppp': undefined
  'hardware.vlan': undefined
  'hardware.link': {name: string | number}
  'hardware.noLink': undefined
  'hardware.networks': undefined
  'hardware.scanning': undefined
  'hardware.quiet': undefined
  'hardware.isJoined': undefined
  'hardware.known': undefined
  'hardware.password': {name: string | number}
  'hardware.join': undefined
  'hardware.joining': undefined
  'hardware.joined': {name: string | number}
  'hardware.forget': undefined
  'hardware.forgotten': {name: string | number}
  'hardware.unlock': undefined
  'hardware.pinTitle': undefined
  'hardware.pin': undefined
  'hardware.tries': {n: number}
  'hardware.lastTry': undefined
  'hardware.unlocked': undefined
  'hardware.addRelay': undefined
  'hardware.relayText': undefined
  'hardware.code': undefined
  'hardware.relayAdded': undefined
  'hardware.signal': {n: number}
  'hwstate.off': undefined
  'hwstate.locked': undefined
  'hwstate.connecting': undefined
  'hwstate.connected': undefined
  'hwstate.failed': undefined
  'hwlock.open': undefined
  'hwlock.wpa2': undefined
  'hwlock.wpa3': undefined
  'hwlock.enterprise': undefined
  'role.primary': undefined
  'role.secondary': undefined
  'role.backup': undefined
  'role.never': undefined
  'link.down': undefined
  'link.up': undefined
  'link.lost': undefined
  'link.used': undefined
  'link.resets': {date: string | number}
  'link.role': undefined
  'link.since': undefined
  'link.jitter': undefined
  'link.capacity': undefined
  'link.metered': undefined
  'link.flows': undefined
  'link.interface': undefined
  'link.gateway': undefined
  'lanes.title': undefined
  'lanes.hint': undefined
  'lanes.gap': {time: string | number}
  'lanes.never': {link: string | number}
  'lanes.off': {link: string | number; when: string | number}
  'apps.title': undefined
  'apps.view': undefined
  'apps.byApp': undefined
  'apps.byFlow': undefined
  'apps.hint': undefined
  'apps.device': undefined
  'apps.link': undefined
  'apps.app': undefined
  'apps.uses': undefined
  'apps.what': undefined
  'apps.now': undefined
  'apps.sofar': undefined
  'apps.connections': undefined
  'apps.count': {n: number}
  'apps.clear': undefined
  'apps.none': undefined
  'apps.noneMatch': undefined
  'apps.inside': undefined
  'apps.inbound': undefined
  'apps.more': {n: number}
  'people.title': undefined
  'people.find': undefined
  'people.add': undefined
  'people.addHelp': undefined
  'people.name': undefined
  'people.owner': undefined
  'people.house': undefined
  'people.nobody': undefined
  'people.needs': undefined
  'people.shared': undefined
  'people.quiet': undefined
  'people.doing': {device: string | number; rate: string | number}
  'people.now': {rate: string | number}
  'people.lastSeen': {time: string | number}
  'people.new': undefined
  'people.noDevices': undefined
  'people.none': undefined
  'people.resume': undefined
  'people.isPaused': undefined
  'people.paused': {name: string | number}
  'people.resumed': {name: string | number}
  'people.pauseRule': {name: string | number}
  'people.rules': {name: string | number}
  'people.saved': {name: string | number}
  'people.unknownMaker': undefined
  'people.used': undefined
  'people.day': undefined
  'people.month': undefined
  'people.first': undefined
  'people.seen': undefined
  'people.mac': undefined
  'people.addresses': undefined
  'people.save': undefined
  'people.apps': undefined
  'tier.order': undefined
  'tier.house': undefined
  'tier.own': undefined
  'tier.houseText': undefined
  'tier.ownText': undefined
  'tier.restText': undefined
  'tier.houseShort': undefined
  'tier.ownShort': undefined
  'tier.restShort': undefined
  'rules.house': undefined
  'rules.of': {name: string | number}
  'rules.own': undefined
  'rules.above': undefined
  'rules.add': undefined
  'rules.edit': undefined
  'rules.sleep': undefined
  'rules.wake': undefined
  'rules.sleeping': undefined
  'rules.text': undefined
  'rules.textLabel': undefined
  'rules.effects': undefined
  'rules.discard': undefined
  'rules.same': undefined
  'rules.nothing': undefined
  'rules.unsaved': undefined
  'rules.conflictText': undefined
  'rules.compare': undefined
  'rules.line': {line: string | number}
  'rules.number': {n: number}
  'rules.version': {time: string | number; version: string | number}
  'rules.none': undefined
  'rules.noneOwn': {name: string | number}
  'rules.lockedText': undefined
  'rules.limitsText': undefined
  'rules.openText': undefined
  'change.added': undefined
  'change.removed': undefined
  'change.changed': undefined
  'field.name': undefined
  'field.steer': undefined
  'field.what': undefined
  'field.who': undefined
  'field.when': undefined
  'field.qos': undefined
  'field.filter': undefined
  'field.force': undefined
  'field.disabled': undefined
  'field.priority': undefined
  'rule.whoAll': undefined
  'rule.whoRouter': undefined
  'rule.whatAll': undefined
  'rule.then': undefined
  'rule.part': {link: string | number; share: string | number}
  'rule.down': {rate: string | number}
  'rule.up': {rate: string | number}
  'rule.order': {links: string | number; what: string | number; who: string | number}
  'rule.prefer': {link: string | number; what: string | number; who: string | number}
  'rule.fixed': {link: string | number; what: string | number; who: string | number}
  'rule.balance': {links: string | number; what: string | number; who: string | number}
  'rule.any': {what: string | number; who: string | number}
  'rule.forbid': {links: string | number; what: string | number; who: string | number}
  'rule.allowLinks': {links: string | number; what: string | number; who: string | number}
  'rule.block': {what: string | number; who: string | number}
  'rule.allow': {what: string | number; who: string | number}
  'rule.denyAll': {who: string | number}
  'rule.modeAllow': {who: string | number}
  'rule.modeFilter': {who: string | number}
  'rule.class': {class: string | number; what: string | number; who: string | number}
  'rule.guarantee': {rate: string | number; what: string | number; who: string | number}
  'rule.cap': {rate: string | number; what: string | number; who: string | number}
  'rule.log': {what: string | number; who: string | number}
  'rule.when': {when: string | number}
  'form.name': undefined
  'form.sentence': undefined
  'form.what': undefined
  'form.who': undefined
  'form.does': undefined
  'form.link': undefined
  'form.then': undefined
  'form.thenNone': undefined
  'form.rate': undefined
  'form.kept': undefined
  'form.preview': undefined
  'form.remove': undefined
  'form.order': {does: string | number; link: string | number; then: string | number; what: string | number; who: string | number}
  'form.fixed': {does: string | number; link: string | number; what: string | number; who: string | number}
  'form.never': {does: string | number; link: string | number; what: string | number; who: string | number}
  'form.block': {does: string | number; what: string | number; who: string | number}
  'form.allow': {does: string | number; what: string | number; who: string | number}
  'form.cap': {does: string | number; rate: string | number; what: string | number; who: string | number}
  'form.other': {does: string | number; what: string | number; who: string | number}
  'does.order': undefined
  'does.fixed': undefined
  'does.never': undefined
  'does.block': undefined
  'does.allow': undefined
  'does.cap': undefined
  'force.ask': undefined
  'force.must': undefined
  'force.bound': undefined
  'force.default': undefined
  'force.mustBadge': undefined
  'force.boundBadge': undefined
  'force.defaultBadge': undefined
  'try.title': undefined
  'try.to': undefined
  'try.at': undefined
  'try.ask': undefined
  'try.missing': undefined
  'door.setup': undefined
  'door.setupText': undefined
  'door.title': undefined
  'door.text': undefined
  'door.name': undefined
  'door.password': undefined
  'door.show': undefined
  'door.hide': undefined
  'door.code': undefined
  'door.codeNeeded': undefined
  'door.wrong': undefined
  'door.wait': {time: string | number}
  'door.missing': undefined
  'door.rule': undefined
  'door.strong': undefined
  'door.weak': undefined
  'door.begin': undefined
  'door.enter': undefined
  'door.leave': undefined
  'door.as': {name: string | number; role: string | number}
  'userrole.admin': undefined
  'userrole.viewer': undefined
  'userrole.member': undefined
  'advice.short': undefined
  'advice.long': undefined
  'advice.common': undefined
  'advice.name': undefined
  'advice.simple': undefined
  'trial.title': {n: number}
  'trial.text': undefined
  'trial.left': {n: number}
  'trial.seconds': undefined
  'trial.keep': undefined
  'trial.back': undefined
  'trial.aside': undefined
  'trial.reached': undefined
  'trial.unreached': undefined
  'trial.links': undefined
  'trial.of': {all: string | number; n: number}
  'trial.kept': undefined
  'trial.wentBack': undefined
  'trial.others': {name: string | number}
  'effects.affects': {devices: string | number; flows: string | number}
  'effects.devices': {n: number}
  'effects.flows': {n: number}
  'effects.none': undefined
  'effects.same': {n: number}
  'effects.lost': {n: number}
  'effects.try': {n: number}
  'effects.safe': undefined
  'merge.title': undefined
  'merge.text': undefined
  'merge.both': undefined
  'merge.bothText': undefined
  'merge.mine': undefined
  'merge.mineInstead': undefined
  'merge.theirs': undefined
  'rules.earlier': undefined
  'rules.later': undefined
  'finding.shadowed': undefined
  'finding.ineffective': undefined
  'finding.contradiction': undefined
  'nav.bandwidth': undefined
  'nav.filter': undefined
  'nav.sections': undefined
  'nav.devices': undefined
  'nav.mine': undefined
  'nav.ask': undefined
  'qos.rest': undefined
  'qos.way': {most: string | number; promised: string | number; rate: string | number}
  'qos.shaped': undefined
  'qos.notShaped': undefined
  'qos.waiting': undefined
  'qos.idle': undefined
  'qos.loaded': undefined
  'qos.auto': undefined
  'qos.classes': {link: string | number}
  'qos.legend': undefined
  'qosmode.off': undefined
  'qosmode.fixed': undefined
  'qosmode.auto': undefined
  'filter.mode': undefined
  'filter.modeMine': undefined
  'filter.kinds': undefined
  'filter.kindsMine': undefined
  'filter.kindsText': undefined
  'filter.isStopped': undefined
  'filter.isAllowed': undefined
  'filter.log': undefined
  'filter.allDevices': undefined
  'filter.none': undefined
  'filter.more': undefined
  'filter.allow': undefined
  'filter.allowFor': {device: string | number; what: string | number}
  'filter.allowed': {what: string | number}
  'mode.allow-all': undefined
  'mode.filter': undefined
  'mode.deny-all': undefined
  'modeText.allow-all': undefined
  'modeText.filter': undefined
  'modeText.deny-all': undefined
  'how.flow': undefined
  'how.name': undefined
  'how.content': undefined
  'ask.title': undefined
  'ask.kind': undefined
  'ask.link': undefined
  'ask.allow': undefined
  'ask.words': undefined
  'ask.linkText': {link: string | number; what: string | number}
  'ask.allowText': {what: string | number}
  'ask.why': undefined
  'ask.send': undefined
  'ask.sent': undefined
  'ask.mine': undefined
  'ask.none': undefined
  'ask.asks': {name: string | number}
  'ask.accept': undefined
  'ask.decline': undefined
  'ask.accepted': undefined
  'ask.declined': undefined
  'askstate.open': undefined
  'askstate.accepted': undefined
  'askstate.declined': undefined
  'login.title': undefined
  'login.change': undefined
  'login.changeTitle': undefined
  'login.changed': undefined
  'login.old': undefined
  'login.new': undefined
  'login.others': undefined
  'login.totp': undefined
  'login.totpOff': undefined
  'login.totpOn': {n: number}
  'login.turnOn': undefined
  'login.turnOff': undefined
  'login.offTitle': undefined
  'login.go': undefined
  'login.secret': undefined
  'login.open': undefined
  'login.first': undefined
  'login.codes': undefined
  'login.noted': undefined
  'login.where': undefined
  'login.here': undefined
  'login.end': undefined
  'users.title': undefined
  'users.add': undefined
  'users.gone': {name: string | number}
  'users.totp': undefined
  'users.newPassword': undefined
  'users.keepPassword': undefined
  'users.role': undefined
  'users.person': undefined
  'users.noPeople': undefined
  'users.remove': undefined
  'users.removeSure': {name: string | number}
  'users.removeTotp': undefined
  'userroleText.admin': undefined
  'userroleText.viewer': undefined
  'userroleText.member': undefined
  'cert.title': undefined
  'cert.text': undefined
  'cert.step1': undefined
  'cert.step2': {name: string | number}
  'cert.step3': {address: string | number}
  'cert.download': undefined
  'cert.fingerprint': undefined
  'cert.until': undefined
  'cert.none': undefined
  'audit.view': undefined
  'audit.events': undefined
  'audit.changes': undefined
  'audit.what': undefined
  'audit.policy': undefined
  'audit.user': undefined
  'audit.request': undefined
  'audit.token': undefined
  'audit.hardware': undefined
  'audit.policy.set': undefined
  'audit.policy.try': undefined
  'audit.policy.keep': undefined
  'audit.policy.back': undefined
  'audit.user.add': undefined
  'audit.user.change': undefined
  'audit.user.delete': undefined
  'audit.user.password': undefined
  'audit.user.totp': undefined
  'audit.request.add': undefined
  'audit.request.answer': undefined
  'audit.token.add': undefined
  'audit.token.delete': undefined
  'setup.step': {all: string | number; n: number}
  'setup.links': {n: number}
  'setup.linksText': undefined
  'setup.linksNone': undefined
  'setup.people': undefined
  'setup.peopleText': undefined
  'setup.seen': {n: number}
  'setup.done': undefined
  'setup.doneText': undefined
  'setup.next': undefined
  'setup.skip': undefined
  'setup.open': undefined
  'backup.title': undefined
  'backup.make': undefined
  'backup.text': undefined
  'backup.makeIt': undefined
  'backup.makeTitle': undefined
  'backup.history': undefined
  'backup.historyText': undefined
  'backup.secrets': undefined
  'backup.secretsText': undefined
  'backup.passphrase': undefined
  'backup.passphraseMay': undefined
  'backup.passphraseText': {n: number}
  'backup.plainText': undefined
  'restore.title': undefined
  'restore.text': undefined
  'restore.choose': undefined
  'restore.pick': undefined
  'restore.none': undefined
  'restore.passphrase': undefined
  'restore.looking': undefined
  'restore.open': undefined
  'restore.made': {time: string | number; version: string | number}
  'restore.cannot': undefined
  'restore.user.added': undefined
  'restore.user.changed': undefined
  'restore.user.removed': undefined
  'restore.keeps': undefined
  'restore.devices': {n: number}
  'restore.history': undefined
  'restore.secrets': undefined
  'restore.sameRules': undefined
  'restore.trial': undefined
  'restore.config': undefined
  'restore.configSave': undefined
  'restore.begin': undefined
  'restore.starting': undefined
  'restore.startingText': undefined
  'restore.keepTitle': undefined
  'restore.keepText': {time: string | number}
  'restore.keep': undefined
  'restore.kept': undefined
  'restore.wentBack': undefined
  'restore.others': {name: string | number}
  'restore.failed': {why: string | number}
  'support.title': undefined
  'support.text': undefined
  'support.make': undefined
  'tokens.title': undefined
  'tokens.add': undefined
  'tokens.none': undefined
  'tokens.made': undefined
  'tokens.once': undefined
  'tokens.copy': undefined
  'tokens.copied': undefined
  'tokens.name': undefined
  'tokens.nameText': undefined
  'tokens.may': undefined
  'tokens.scope.read': undefined
  'tokens.scope.rules': undefined
  'tokens.scope.control': undefined
  'tokens.scopeText.read': undefined
  'tokens.scopeText.rules': undefined
  'tokens.scopeText.control': undefined
  'tokens.life': undefined
  'tokens.days': {n: number}
  'tokens.until': {time: string | number}
  'tokens.forever': undefined
  'tokens.remove': undefined
  'tokens.sure': undefined
  'tokens.gone': {name: string | number}
  'tokens.noted': undefined
  'time.title': undefined
  'time.short': undefined
  'time.pauseFor': undefined
  'time.quarter': undefined
  'time.hour': undefined
  'time.morning': undefined
  'time.always': undefined
  'time.pausedUntil': {time: string | number}
  'time.bedFrom': undefined
  'time.bedTo': undefined
  'time.setBed': undefined
  'time.noBed': undefined
  'time.more': {n: number}
  'time.later': {time: string | number}
  'time.inBed': {time: string | number}
  'time.bedAt': {from: string | number; to: string | number}
  'time.bedRule': {name: string | number}
  'time.bedSaid': {from: string | number; name: string | number; to: string | number}
  'time.noBedSaid': {name: string | number}
  'time.moreSaid': {name: string | number; time: string | number}
  'fresh.title': {name: string | number}
  'fresh.whose': undefined
  'fresh.ours': undefined
  'fresh.house': {name: string | number}
  'fresh.more': {n: number}
}
