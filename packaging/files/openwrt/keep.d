/etc/config/trenza
/etc/trenza/
