// Every word of the page. A plural is {one, other}, chosen by n as the language wants; {name} is filled in.

export const locale = 'en'

const plural = new Intl.PluralRules(locale)

const words = {
  'app': 'Trenza',
  'skip': 'Skip to the content',
  'nav': 'Main',
  'nav.home': 'Home', 'nav.devices': 'Devices', 'nav.flows': 'Flows', 'nav.rules': 'Rules', 'nav.activity': 'Activity',

  'unit.kbit': 'kbit/s', 'unit.mbit': 'Mbit/s', 'unit.gbit': 'Gbit/s',
  'unit.kb': 'kB', 'unit.mb': 'MB', 'unit.gb': 'GB', 'unit.tb': 'TB', 'unit.ms': 'ms',
  'unknown': 'unknown', 'today': 'Today', 'yesterday': 'Yesterday',
  'days': {one: '{n} day', other: '{n} days'},
  'close': 'Close', 'retry': 'Try again', 'details': 'Details', 'undo': 'Undo',

  'lost.looking': 'Looking for the router… last data {time}',
  'lost.gone': 'This page cannot reach the router. Your internet may still work. Are you on the home WiFi?',
  'lost.action': 'Not possible while the router cannot be reached.',
  'error.unreachable': 'The router did not answer. What is shown may be old.',
  'error.answer': 'The router answered with an error ({code}).',
  'error.load': 'This could not be loaded: {cause}',

  'home.loading': 'Asking the router…',
  'home.use': {one: '{active} of {n} device in use. {flows} flows run.', other: '{active} of {n} devices in use. {flows} flows run.'},
  'home.most': '{link} carries most of it.',
  'home.shared': '{links} share it.',
  'home.quiet': 'It is quiet now.',
  'warning.since': 'since {time}',

  'chart.down': 'Download', 'chart.up': 'Upload', 'chart.direction': 'Direction',
  'chart.now': '{unit} now', 'chart.possible': 'of about {rate} possible', 'chart.other.up': 'Upload {rate}', 'chart.other.down': 'Download {rate}',
  'chart.delay': 'Delay {delay}',
  'chart.minutes': {one: '{n} min ago', other: '{n} min ago'}, 'chart.nowMark': 'now',
  'chart.label.down': 'Download of the last two minutes, stacked by link. Now {values}. Left and right arrow read single moments.',
  'chart.label.up': 'Upload of the last two minutes, stacked by link. Now {values}. Left and right arrow read single moments.',
  'chart.home': 'Home', 'chart.internet': 'Internet',
  'chart.ago': '{n} s ago', 'chart.together': 'together {rate}',
  'chart.table': 'Show as table', 'chart.chart': 'Hide table', 'chart.span': 'Last 2 minutes', 'chart.time': 'Time', 'chart.sum': 'Together',
  'chart.average': 'Averages of ten seconds', 'chart.since': 'Watching since {time}',
  'chart.waiting': 'Waiting for the first second of data.',

  'links': 'Links',
  'links.none': 'No links yet. Name them in the router\'s configuration file and start it again.',
  'state.up': 'Working', 'state.degraded': 'Unsteady', 'state.captive': 'Needs sign-in', 'state.down': 'Off',
  'state.standby': 'Standing by', 'state.unused': 'Not used', 'state.spent': 'Data used up', 'state.low': 'Data low',
  'state.unusable': 'Not in use',
  'role.primary': 'Main link', 'role.secondary': 'Second choice', 'role.backup': 'Backup', 'role.never': 'Never used by itself',
  'link.since': '{reason}, since {time}.', 'link.sinceBare': 'Since {time}.',
  'link.down': 'Down', 'link.up': 'Up', 'link.delay': 'Delay', 'link.loss': 'Lost',
  'link.history': 'Delay, last 5 min', 'link.historyLabel': 'Delay of {link} in the last five minutes, {min} to {max}',
  'link.noHistory': 'no answers yet',
  'link.quota': '{used} of {limit} used', 'link.resets': 'starts again {time}',
  'link.device': 'Interface', 'link.address': 'Address', 'link.gateway': 'Gateway', 'link.jitter': 'Jitter', 'link.capacity': 'Capacity',
  'link.capacityValue': '{down} down, {up} up', 'link.metered': 'Metered', 'link.yes': 'Yes', 'link.no': 'No',
  'link.flows': {one: '{n} flow', other: '{n} flows'},

  'devices.title': 'Devices',
  'devices.lede': {one: '{active} of {n} is using the internet now.', other: '{active} of {n} are using the internet now.'},
  'devices.none': 'No devices yet. The first one appears within two seconds of its first packet.',
  'devices.name': 'Device', 'devices.owner': 'Owner', 'devices.addresses': 'Addresses', 'devices.now': 'Now', 'devices.flows': 'Flows',
  'devices.nobody': 'Nobody', 'devices.new': 'New', 'devices.quiet': 'Quiet', 'devices.more': 'and {n} more',
  'devices.macs': 'Hardware address', 'devices.hostname': 'Calls itself', 'devices.seen': 'Last seen', 'devices.first': 'First seen', 'devices.interface': 'Interface',
  'devices.unvendor': 'Maker unknown', 'devices.flowsOf': 'Flows of {device}',
  'rate.down': 'down', 'rate.up': 'up',

  'flows.title': 'Flows',
  'flows.device': 'Device', 'flows.link': 'Link', 'flows.app': 'App', 'flows.search': 'Search', 'flows.all': 'All',
  'flows.searchHint': 'Name, address, app',
  'flows.count': {one: '{n} flow runs.', other: '{n} flows run.'},
  'flows.shown': '{shown} of {n} shown, the busiest first.',
  'flows.none': 'Nothing runs now. A flow appears here with its first packet.',
  'flows.noneMatch': 'No flow matches. Clear a filter to see the others.',
  'flows.clear': 'Clear filters',
  'flows.what': 'What', 'flows.uses': 'Uses', 'flows.now': 'Now', 'flows.total': 'So far', 'flows.why': 'Reason',
  'flows.inside': 'Inside the house', 'flows.lent': 'stands in', 'flows.inbound': 'came from outside',
  'flows.router': 'The router',

  'why': 'Why?', 'why.of': 'Why: {thing} uses {link}',
  'why.loading': 'Asking the router…',
  'why.uses': '{thing} uses {links}', 'why.blocked': '{thing} is stopped', 'why.nolink': '{thing} has no link now',
  'why.balanced': '{thing} is shared between {links}',
  'why.steer': 'Which link', 'why.filter': 'Allowed or stopped', 'why.qos': 'How urgent', 'why.log': 'Logging',
  'why.builtIn': 'Trenza chooses', 'why.house': 'House rule: {name}', 'why.person': '{owner}\'s rule: {name}',
  'why.decided': 'Decides', 'why.limited': 'Limits', 'why.clamped': 'Decides, within limits', 'why.overruled': 'Overruled', 'why.no-effect': 'Nothing to do',
  'why.family': 'IPv{n}', 'why.families': 'IPv4 and IPv6', 'why.share': '{share} of new flows', 'why.lent': 'stands in',
  'why.refused': 'No link carries it.',
  'why.linkState': '{delay}, {loss} lost',
  'why.known': 'How it was known', 'why.certain': '{text} ({n} % sure)', 'why.class': 'Class', 'why.choice': 'The rules say', 'why.asked': 'Asked', 'why.port': '{proto}, port {port}',
  'why.running': 'Running now', 'why.runningNone': 'No such flow runs now; this is what a new one would do.',
  'why.inbound': 'This flow came in from outside over {link}; its answers leave the way they came. A new flow from here would go as follows.',
  'why.kept': 'This flow runs over {link}: a flow stays on the link it began on. A new one would go as follows.',

  'try.title': 'Try it out', 'try.lede': 'Which link would it take, and why?',
  'try.device': 'Device', 'try.to': 'Name or address', 'try.toHint': 'For example video.example.com or 203.0.113.7',
  'try.port': 'Port', 'try.proto': 'Protocol', 'try.ask': 'Ask why', 'try.router': 'The router itself',
  'try.missing': 'Type a name or an address, for example example.com.',
  'try.badPort': 'A port is a number from 1 to 65535.',

  'rules.title': 'Rules',
  'rules.lede': 'House rules always win. Own rules count inside their limits. Trenza chooses the rest.',
  'rules.version': 'Version {version}, {time}', 'rules.by': 'Version {version}, {time}, by {by}',
  'rules.text': 'The rules in force', 'rules.editing': 'Edit the rules',
  'rules.edit': 'Edit rules', 'rules.check': 'Check', 'rules.checking': 'Checking…', 'rules.save': 'Save rules', 'rules.saving': 'Saving…', 'rules.cancel': 'Throw away',
  'rules.warnings': 'Worth knowing', 'rules.findings': 'Rules without effect', 'rules.clean': 'No warnings. Every rule can have an effect.',
  'rules.empty': 'No rules yet. Trenza chooses everything. Write the first one with "Edit rules".',
  'rules.problems': {one: '{n} thing to put right first', other: '{n} things to put right first'},
  'rules.line': 'Line {line}', 'rules.fine': 'These rules can be used.', 'rules.same': 'These rules can be used. They are the same as those in force.',
  'rules.changes': {one: '{n} change, not in use yet', other: '{n} changes, not in use yet'},
  'rules.added': 'Added', 'rules.removed': 'Removed', 'rules.changed': 'Changed', 'rules.nothing': 'not there',
  'rules.saved': 'Saved. Version {version} is in force.', 'rules.undone': 'Back to how it was, as version {version}.',
  'rules.undoFailed': 'It could not be taken back: {cause}',
  'rules.conflict': 'Someone else changed the rules while you were editing. Your text is kept.',
  'rules.takeNew': 'Compare with the new version', 'rules.unsaved': 'Edited, not in use yet', 'rules.by.page': 'page',

  'activity.title': 'Activity', 'activity.lede': 'What happened, the newest first.', 'activity.none': 'Nothing happened yet.',
  'severity.info': 'Note', 'severity.warning': 'Warning', 'severity.error': 'Problem',
}

/** The words of a key, with values filled in. A key that is missing is shown as it is: it is a mistake of ours. */
export function t(key, values = {}) {
  let w = words[key] ?? key
  if (typeof w === 'object') w = w[plural.select(values.n)] ?? w.other
  return w.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all)
}

const list = new Intl.ListFormat(locale, {type: 'conjunction'})

/** "a, b and c". */
export const joined = (items) => list.format(items)
