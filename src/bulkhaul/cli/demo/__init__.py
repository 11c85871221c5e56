"""What `bulkhaul demo` alone needs: its server, its bytes, its stages."""
